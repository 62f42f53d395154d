"""Every reply that is known, by the literal words of the server that gives it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recapito.catalogue import builtin, known_codes
from recapito.outcome import Outcome
from recapito.problem import Problem, Scope, Who
from recapito.reply import ServerReply

GMAIL, OFFICE, ARUBA = "smtp.gmail.com", "smtp.office365.com", "smtps.aruba.it"
R, H, M, U = Outcome.NOT_SENT, Outcome.HELD, Outcome.REFUSED, Outcome.UNKNOWN
O, A, N = Who.OPERATOR, Who.ADMINISTRATOR, Who.NOBODY  # noqa: E741 - the letters of the table


def smtp(said: str, host: str = "mail.example.it", **more: Any) -> ServerReply:
    """What ``535 5.7.8 words`` is to a transport."""
    status, _, rest = said.replace("-", " ", 1).partition(" ")
    first = rest.partition(" ")[0]
    enhanced = first if first.count(".") == 2 and first[:1] in "245" else ""
    return ServerReply("smtp", int(status), said, enhanced, host=host, **more)


def oauth(said: str, error: str = "", host: str = "login.microsoftonline.com", **more: Any) -> ServerReply:
    return ServerReply(
        "oauth", more.pop("status", 400), said, error=error, host=host, credential="token", **more
    )


def http(
    status: int, said: str = "", error: str = "", host: str = "graph.microsoft.com", **more: Any
) -> ServerReply:
    return ServerReply("http", status, said, error=error, host=host, credential="token", **more)


def tls(error: str, said: str = "", **more: Any) -> ServerReply:
    return ServerReply("tls", text=said, error=error, host="mail.example.it", step="encryption", **more)


def net(error: str, host: str = "mail.example.it", **more: Any) -> ServerReply:
    return ServerReply("net", error=error, host=host, port=465, step="port", **more)


TOKEN: dict[str, Any] = {"credential": "token", "step": "sign-in"}
ALIAS: dict[str, Any] = {"own_sender": False}
NEVER: dict[str, Any] = {"params": {"worked": 0}}
WORKED: dict[str, Any] = {"params": {"worked": 1}}

# The rows of the table of errors: code, replies, outcome, who acts.
ROWS: list[tuple[str, list[ServerReply], Outcome, Who]] = [
    (
        "GOOGLE-PASSWORD",
        [
            smtp(
                "535-5.7.8 Username and Password not accepted. https://support.google.com/mail/?p=BadCredentials",
                GMAIL,
            )
        ],
        H,
        O,
    ),
    (
        "GOOGLE-APPPWD",
        [smtp("534-5.7.9 Application-specific password required. p=InvalidSecondFactor gsmtp", GMAIL)],
        H,
        O,
    ),
    (
        "GOOGLE-WEBLOGIN",
        [
            smtp(
                "534-5.7.14 <https://accounts.google.com/signin> Please log in via your web browser gsmtp",
                GMAIL,
            )
        ],
        H,
        O,
    ),
    (
        "AUTH-FAILED",
        [
            smtp("535 5.7.8 Error: authentication failed"),
            smtp("535 Authentication credentials invalid"),
            smtp("535 5.7.3 Authentication unsuccessful", "mail.example.it"),
        ],
        H,
        O,
    ),
    ("AUTH-NOTOFFERED", [smtp("503 5.5.1 Error: authentication not enabled", step="sign-in")], H, O),
    (
        "M365-SMTP-OFF",
        [
            smtp(
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                OFFICE,
            ),
            smtp(
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.",
                OFFICE,
            ),
            smtp("535 5.7.139 SmtpClientAuthentication is disabled for the Tenant", OFFICE, **TOKEN),
        ],
        H,
        O,
    ),
    (
        "M365-BASIC-OFF",
        [
            smtp("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", OFFICE),
            smtp("550 5.7.30 Basic authentication is not supported for Client Submission.", OFFICE),
        ],
        H,
        O,
    ),
    (
        "M365-CREDENTIALS",
        [
            smtp("535 5.7.3 Authentication unsuccessful [XX.prod.outlook.com]", OFFICE),
            smtp("535 5.7.3 Authentication unsuccessful", "smtp-mail.outlook.com"),
            smtp("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.", OFFICE),
        ],
        H,
        O,
    ),
    (
        "M365-NOT-SIGNED-IN",
        [
            smtp("530 5.7.57 Client not authenticated to send mail.", OFFICE),
            smtp(
                "550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
                OFFICE,
            ),
        ],
        H,
        O,
    ),
    (
        "OAUTH-REVOKED",
        [
            oauth("Token has been expired or revoked.", "invalid_grant", "oauth2.googleapis.com"),
            smtp("535 5.7.8 Username and Password not accepted", GMAIL, **TOKEN),
            smtp("535 5.7.3 Authentication unsuccessful", OFFICE, **TOKEN),
        ],
        H,
        O,
    ),
    (
        "OAUTH-TESTING",
        [
            oauth(
                "Token has been expired or revoked. (client in Testing: 7 days)",
                "invalid_grant",
                "oauth2.googleapis.com",
            ),
            oauth("", "testing-expired", "oauth2.googleapis.com"),
        ],
        H,
        A,
    ),
    (
        "OAUTH-IDLE",
        [
            oauth("AADSTS700082: The refresh token has expired due to inactivity.", "invalid_grant"),
            oauth("AADSTS70008: The provided grant has expired.", "invalid_grant"),
        ],
        H,
        O,
    ),
    (
        "OAUTH-POLICY",
        [oauth("AADSTS65004: User declined to consent to access the app.", "access_denied")],
        H,
        A,
    ),
    (
        "OAUTH-SESSION",
        [
            oauth("reauth related error (invalid_rapt)", "invalid_grant", "oauth2.googleapis.com"),
            oauth("", "invalid_rapt", "oauth2.googleapis.com"),
        ],
        H,
        O,
    ),
    (
        "OAUTH-CLOCK",
        [
            oauth(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
                "invalid_grant",
                "oauth2.googleapis.com",
            ),
            oauth("AADSTS700024: Client assertion is not within its valid time range.", "invalid_client"),
        ],
        H,
        A,
    ),
    (
        "M365-ACCESS-DENIED",
        [http(403, "Access is denied. Check credentials and try again.", "ErrorAccessDenied")],
        H,
        A,
    ),
    ("OAUTH-PWD-CHANGED", [oauth("AADSTS50173: The provided grant has expired", "invalid_grant")], H, O),
    (
        "OAUTH-MFA",
        [
            oauth("AADSTS50076: you must use multi-factor authentication", "invalid_grant"),
            oauth("AADSTS50079: you must enroll", "interaction_required"),
            oauth("", "interaction_required"),
        ],
        H,
        O,
    ),
    ("OAUTH-CONDITIONAL", [oauth("AADSTS53003: Access has been blocked", "access_denied")], H, A),
    (
        "OAUTH-CONSENT",
        [
            oauth("AADSTS65001: The user or administrator has not consented", "invalid_grant"),
            oauth("AADSTS90094: Admin consent is required", "access_denied"),
            oauth("Approval required"),
        ],
        H,
        A,
    ),
    (
        "OAUTH-POLICY",
        [
            oauth("", "admin_policy_enforced", "accounts.google.com"),
            oauth("", "org_internal", "accounts.google.com"),
            oauth("", "access_denied", "accounts.google.com"),
        ],
        H,
        A,
    ),
    (
        "OAUTH-APP-SECRET",
        [
            oauth("The OAuth client was not found.", "invalid_client", "oauth2.googleapis.com"),
            oauth("AADSTS7000222: The provided client secret keys are expired.", "invalid_client"),
        ],
        H,
        A,
    ),
    (
        "OAUTH-REDIRECT",
        [
            oauth("", "redirect_uri_mismatch", "accounts.google.com"),
            oauth("AADSTS50011: The redirect URI does not match", "invalid_request"),
            oauth("AADSTS500112: The reply address does not match", "invalid_client"),
        ],
        H,
        A,
    ),
    ("OAUTH-WEBVIEW", [oauth("", "disallowed_useragent", "accounts.google.com")], H, O),
    (
        "OAUTH-SCOPE",
        [
            http(403, "Request had insufficient authentication scopes.", host="gmail.googleapis.com"),
            oauth("", "no-refresh-token", "oauth2.googleapis.com"),
            smtp("535 5.7.8 insufficient authentication scope", GMAIL, **TOKEN),
        ],
        H,
        O,
    ),
    (
        "SENDER-MS",
        [
            smtp("554 5.2.252 SendAsDenied; anna@x.it not allowed to send as b@x.it", OFFICE),
            smtp("550 5.7.60 SMTP; Client does not have permissions to send as this sender", OFFICE),
            smtp("554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException", OFFICE),
            http(403, "The user account does not have the right to send as", "ErrorSendAsDenied"),
        ],
        H,
        A,
    ),
    (
        "SENDER-ARUBA",
        [
            smtp("550 5.7.1 header from not allowed", ARUBA),
            smtp("553 mail from refused for this user", "smtp.aruba.it", step="sender"),
        ],
        H,
        O,
    ),
    (
        "SENDER-NOT-OWNED",
        [smtp("553 5.7.1 <b@x.it>: Sender address rejected: not owned by user anna@x.it")],
        H,
        O,
    ),
    (
        "DOMAIN-DMARC",
        [
            smtp(
                "550-5.7.26 Unauthenticated email from x.it is not accepted due to domain's DMARC policy.",
                GMAIL,
            )
        ],
        H,
        A,
    ),
    (
        "RELAY-DENIED",
        [smtp("550 Relay Disabled"), smtp("554 5.7.1 <a@x.it>: Relay access denied", step="recipient")],
        H,
        O,
    ),
    (
        "RCPT-UNKNOWN",
        [smtp("550 5.1.1 <a@x.it>: Recipient address rejected: User unknown", step="recipient")],
        M,
        O,
    ),
    (
        "RCPT-FULL",
        [smtp("452 4.2.2 The recipient's inbox is out of storage space"), smtp("552 5.2.2 mailbox is full")],
        R,
        N,
    ),
    (
        "RCPT-SYNTAX",
        [
            smtp("501 5.5.2 bad chars in command", ARUBA, step="recipient"),
            smtp("500 bad chars in command", ARUBA, step="recipient"),
            smtp("553 5.1.3 The recipient address is not a valid RFC 5321 address"),
        ],
        M,
        O,
    ),
    (
        "MSG-TOO-BIG",
        [
            smtp("552 5.3.4 Message size exceeds fixed limit"),
            smtp("552-5.2.3 Your message exceeded Google's message size limits.", GMAIL),
            smtp("552 Message size exceeds maximum permitted", step="sender"),
            http(413, "Request Entity Too Large"),
        ],
        M,
        O,
    ),
    (
        "SLOW-DOWN",
        [
            smtp("421-4.7.0 Try again later, closing connection.", GMAIL),
            smtp("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", OFFICE),
            http(429, "Application is over its MailboxConcurrency limit.", "ApplicationThrottled"),
            http(429, "User-rate limit exceeded", host="gmail.googleapis.com"),
        ],
        R,
        N,
    ),
    ("LIMIT-DAILY", [smtp("550-5.4.5 Daily user sending limit exceeded.", GMAIL)], R, N),
    (
        "LIMIT-ARUBA",
        [smtp("550 5.7.1 policy violation", ARUBA), smtp("421 policy violation", "smtp.aruba.it")],
        R,
        N,
    ),
    ("LIMIT-REGISTER", [smtp("550 MAX RCPT TO DAILY LIMIT REACHED", "authsmtp.securemail.pro")], R, A),
    ("SPAM-ARUBA", [smtp("552 5.2.0 KxYz1 spam detected", ARUBA)], M, O),
    (
        "LIBERO-RESET",
        [
            smtp("535 Authentication failed", "smtp.libero.it", step="sign-in", **WORKED),
            smtp("535 5.7.0 auth failed", "out.virgilio.it", step="sign-in", **WORKED),
        ],
        H,
        O,
    ),
    ("TLS-NAME", [tls("name", "certificate is not valid for mail.example.it", params={"cn": "x.it"})], H, O),
    ("TLS-UNTRUSTED", [tls("untrusted"), tls("expired"), tls("not-yet-valid")], H, A),
    (
        "TLS-MODE",
        [
            tls("mode"),
            tls("version", "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            smtp("530 5.7.0 Must issue a STARTTLS command first", GMAIL, step="sender"),
            smtp("451 5.7.3 STARTTLS is required to send mail", OFFICE, step="sender"),
        ],
        H,
        O,
    ),
    ("NET-DNS", [net("dns", "smtp.example.it")], H, O),
    ("NET-DNS", [net("dns-temporary"), net("dns", **WORKED)], R, O),
    ("NET-BLOCKED", [net("refused"), net("timeout"), net("timeout", "mail-out.eolo.it")], R, A),
    (
        "NET-COUNTRY",
        [
            net("timeout", "mail-out.eolo.it", **NEVER),
            smtp("554 Access denied", "mail-out.eolo.it", step="answer"),
        ],
        H,
        A,
    ),
]

# Google's own table of replies, and Microsoft's: what they mean beyond the rows above.
MORE: list[tuple[str, ServerReply, Outcome, Who]] = [
    ("REPLY-TEMPORARY", smtp("421 4.3.0 Temporary System Problem. Try again later.", GMAIL), R, N),
    ("REPLY-TEMPORARY", smtp("421 4.4.5 Server busy, try again later.", GMAIL), R, N),
    ("REPLY-TEMPORARY", smtp("451 4.3.0 Mail server temporarily rejected message.", GMAIL), R, N),
    (
        "RCPT-RATE",
        smtp("450 4.2.1 The user you are trying to contact is receiving mail too quickly.", GMAIL),
        R,
        N,
    ),
    ("REPLY-TEMPORARY", smtp("451 4.4.2 Timeout - closing connection.", GMAIL), R, N),
    ("REPLY-TEMPORARY", smtp("451 4.5.0 SMTP protocol violation, visit RFC 2821.", GMAIL), R, N),
    ("RCPT-TOO-MANY", smtp("452 4.5.3 Your message has too many recipients.", GMAIL), R, N),
    (
        "REPLY-TEMPORARY",
        smtp("454 4.5.0 SMTP protocol violation, no commands allowed to pipeline", GMAIL),
        R,
        N,
    ),
    ("AUTH-TEMPORARY", smtp("454 4.7.0 Too many login attempts, please try again later.", GMAIL), R, N),
    ("MSG-POLICY", smtp("550 5.7.1 The message was refused by a rule of the domain. gcdp", GMAIL), M, A),
    ("MSG-TOO-BIG", smtp("552 5.3.4 Your message exceeded Google's message size limits.", GMAIL), M, O),
    (
        "MSG-ATTACHMENT",
        smtp("552 5.7.0 This message was blocked because its content presents an issue.", GMAIL),
        M,
        O,
    ),
    ("M365-POLICY", smtp("535 5.7.139 Authentication unsuccessful, security defaults policy.", OFFICE), H, A),
    (
        "M365-POLICY",
        smtp("535 5.7.139 the request did not meet the criteria to be authenticated", OFFICE, **TOKEN),
        H,
        A,
    ),
    ("M365-POLICY", smtp("535 5.7.139 Authentication unsuccessful, something new.", OFFICE), H, A),
    ("AUTH-MECHANISM", smtp("504 5.7.4 Unrecognized authentication type", OFFICE, step="sign-in"), H, A),
    (
        "M365-MAILBOX-LOGON",
        smtp("430 4.2.0 STOREDRV; mailbox logon failure; cannot open", OFFICE, **TOKEN),
        R,
        A,
    ),
    (
        "LIMIT-MS",
        smtp("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", OFFICE),
        R,
        N,
    ),
    (
        "LIMIT-MS",
        smtp("550 5.1.90 Your message can't be sent because you've reached your daily limit", OFFICE),
        R,
        N,
    ),
    (
        "LIMIT-MS",
        smtp("550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit", OFFICE),
        R,
        N,
    ),
    *(
        ("M365-RESTRICTED", smtp(f"550 {code} Access denied, banned sender", OFFICE), H, A)
        for code in ("5.1.8", "5.7.501", "5.7.502", "5.7.503", "5.7.512", "5.7.705", "5.7.708", "5.7.750")
    ),
    ("M365-MAILBOX-FULL", smtp("554 5.2.2 mailbox full", OFFICE), H, O),
    ("M365-MAILBOX-FULL", http(403, "The mailbox is full.", "ErrorQuotaExceeded", "localhost"), H, O),
    ("M365-NO-MAILBOX", http(404, "REST API is not yet supported", "MailboxNotEnabledForRESTAPI"), H, A),
    ("M365-ACCESS-DENIED", http(403, "Access Denied", "accessDenied"), H, A),
    ("M365-ACCESS-DENIED", http(403, "Access is denied.", "ErrorAccessDenied", "localhost"), H, A),
    ("SLOW-DOWN", http(429, "MailboxConcurrency", "ApplicationThrottled", "localhost"), R, N),
    ("RCPT-SYNTAX", http(400, "At least one recipient isn't valid", "ErrorInvalidRecipients"), M, O),
    ("MSG-TOO-BIG", http(400, "The message exceeds the size", "ErrorMessageSizeExceeded"), M, O),
    ("LIMIT-DAILY", http(403, "", "dailyLimitExceeded", "gmail.googleapis.com"), R, N),
    ("SLOW-DOWN", http(403, "", "userRateLimitExceeded", "gmail.googleapis.com"), R, N),
    ("OAUTH-POLICY", http(403, "", "domainPolicy", "gmail.googleapis.com"), H, A),
    (
        "LIMIT-DAILY",
        http(429, "User daily sending limit exceeded", "rateLimitExceeded", "gmail.googleapis.com"),
        R,
        N,
    ),
    (
        "GOOGLE-API-OFF",
        http(403, "Gmail API is disabled", "accessNotConfigured", "gmail.googleapis.com"),
        H,
        A,
    ),
    (
        "GOOGLE-API-OFF",
        http(403, "Gmail API has not been used in project 12 before or it is disabled", "forbidden"),
        H,
        A,
    ),
    ("GOOGLE-NO-MAILBOX", http(400, "Mail service not enabled", "failedPrecondition"), H, A),
    ("GOOGLE-NO-MAILBOX", http(403, "Mail service not enabled"), H, A),
    ("OAUTH-ACCOUNT", oauth("Invalid email or User ID", "invalid_grant", "oauth2.googleapis.com"), H, A),
    ("OAUTH-APP-SECRET", oauth("Invalid JWT Signature.", "invalid_grant", "oauth2.googleapis.com"), H, A),
    ("OAUTH-APP-WRONG", oauth("AADSTS700016: Application was not found", "unauthorized_client"), H, A),
    ("OAUTH-APP-SECRET", oauth("AADSTS7000215: Invalid client secret provided", "invalid_client"), H, A),
    (
        "OAUTH-ACCOUNT",
        oauth("AADSTS50020: User account from 'live.com' does not exist", "invalid_grant"),
        H,
        A,
    ),
    ("SIGN-IN-EXPIRED", oauth("AADSTS70019: The verification code has expired", "invalid_grant"), H, O),
    ("SIGN-IN-EXPIRED", oauth("the code has expired", "expired_token"), H, O),
    ("OAUTH-POLICY", oauth("AADSTS70000: declined", "authorization_declined"), H, A),
    ("OAUTH-ACCOUNT", oauth("AADSTS50057: The user account is disabled.", "invalid_grant"), H, A),
    (
        "OAUTH-TEMPORARY",
        oauth("AADSTS90033: A transient error has occurred", "temporarily_unavailable"),
        R,
        N,
    ),
    ("OAUTH-TEMPORARY", oauth("", "", status=503), R, N),
    ("OAUTH-TEMPORARY", oauth("try again", "temporarily_unavailable"), R, N),
    ("OAUTH-TEMPORARY", oauth("AADSTS90033: A transient error has occurred", "invalid_grant"), R, N),
    (
        "OAUTH-REVOKED",
        oauth("AADSTS50133: Session is invalid due to expiration", "interaction_required"),
        H,
        O,
    ),
    ("OAUTH-REVOKED", http(401, "Invalid Credentials", "authError", "gmail.googleapis.com"), H, O),
    ("OAUTH-CONSENT", oauth("", "consent_required"), H, A),
    (
        "OAUTH-APP-WRONG",
        oauth("Client is unauthorized to retrieve access tokens", "unauthorized_client"),
        H,
        A,
    ),
    ("OAUTH-SCOPE", http(403, "", "insufficientPermissions", "gmail.googleapis.com"), H, O),
    ("LIMIT-MS", http(403, "", "ErrorExceededMessageLimit"), R, N),
    ("LIMIT-DAILY", http(429, "User daily sending limit exceeded", host="gmail.googleapis.com"), R, N),
    ("AUTH-FAILED", smtp("550 5.7.8 Authentication rejected", step="sign-in"), H, O),
    ("AUTH-NOTOFFERED", ServerReply("smtp", error="no-auth", step="sign-in"), H, O),
    ("AUTH-MECHANISM", smtp("504 Unrecognized authentication type", step="sign-in"), H, A),
    ("AUTH-TEMPORARY", smtp("454 Temporary authentication failure", step="sign-in"), R, N),
    ("AUTH-TEMPORARY", smtp("421 4.7.1 too many login failures", step="sign-in"), R, N),
    ("M365-BASIC-OFF", smtp("535 5.7.139 basic authentication is disabled", "mail.behind.example"), H, O),
    ("M365-NOT-SIGNED-IN", smtp("530 Client not authenticated", OFFICE), H, O),
    ("SLOW-DOWN", smtp("432 concurrent connections exceeded"), R, N),
    ("SLOW-DOWN", smtp("450 4.7.1 rate limit exceeded, slow down"), R, N),
    ("SLOW-DOWN", smtp("451 4.3.2 server busy", OFFICE), R, N),
    ("SPAM-ARUBA", smtp("552 spam message detected", ARUBA), M, O),
    ("RCPT-FULL", smtp("452 mailbox full", step="recipient"), R, N),
    ("RCPT-UNKNOWN", smtp("550 No such user here", step="recipient"), M, O),
    ("RCPT-TOO-MANY", smtp("452 too many recipients", step="recipient"), R, N),
    ("MSG-TOO-BIG", http(400, "The maximum request length supported is 4MB."), M, O),
    ("DOMAIN-DMARC", smtp("550 rejected by DMARC policy of x.it"), H, A),
    ("RELAY-DENIED", smtp("550 5.7.1 Unable to relay", step="recipient"), H, O),
    ("RCPT-UNKNOWN", smtp("550 5.1.10 RESOLVER.ADR.RecipientNotFound", OFFICE), M, O),
    ("LIMIT-REGISTER", smtp("550 MAX RCPT TO DAILY LIMIT", "authsmtp.azienda.example"), R, A),
    ("LIMIT-REGISTER", smtp("550 daily limit reached", "authsmtp.securemail.pro"), R, A),
    ("TLS-FAILED", tls("strange"), R, A),
    ("TLS-OLD", tls("version", "unsupported protocol"), H, A),
    ("TLS-INJECTION", tls("injection"), H, A),
    ("NET-PRIVATE", net("blocked"), H, A),
    ("NET-LOST", net("lost"), R, N),
]

CASES = [(code, reply, outcome, who) for code, replies, outcome, who in ROWS for reply in replies] + MORE


def explain(reply: ServerReply) -> Problem:
    return builtin().explain(reply)


@pytest.mark.parametrize(
    ("code", "reply", "outcome", "who"),
    CASES,
    ids=[f"{row[0]} {row[1].text or row[1].error}"[:60] for row in CASES],
)
def test_a_known_reply_is_explained(code: str, reply: ServerReply, outcome: Outcome, who: Who) -> None:
    found = explain(reply)
    assert (found.code, found.outcome, found.who) == (code, outcome, who)


@pytest.mark.parametrize("language", ["en", "it"])
def test_no_explanation_shows_a_hole(language: str) -> None:
    full = {"account": "anna@x.it", "sender": "b@x.it", "recipient": "c@y.it", "port": 465}
    for _, reply, _, _ in CASES:
        fields = {name: getattr(reply, name) for name in ServerReply.__slots__}
        told = explain(ServerReply(**(fields | full))).explain(language)
        assert "…" not in str(told), told
        assert not set("{}[]") & set(str(told).replace(reply.text, "")), told


#: Codes that no reply leads to: our own, before a reply or without one.
OWN = {"OAUTH-OTHER-USER", "UNCERTAIN", "MSG-CHANGED", "SENDER-CHANGED"}


def test_every_rule_explains_some_reply_above() -> None:
    met = [next((rule for rule in builtin().rules if rule.matches(row[1])), None) for row in CASES]
    idle = [f"{rule.code} {rule.text}" for rule in builtin().rules if rule not in met]
    assert idle == []


def test_our_own_codes_need_no_reply() -> None:
    assert set(known_codes()) >= OWN
    assert not OWN & {rule.code for rule in builtin().rules}


def bound_to_hosts() -> list[tuple[str, ServerReply]]:
    """The cases whose code no rule gives to the servers of somebody else."""
    free = {rule.code for rule in builtin().rules if "smtp" in rule.via and not rule.hosts}
    bound = {rule.code for rule in builtin().rules} - free
    return [(code, reply) for code, reply, _, _ in CASES if code in bound and reply.via == "smtp"]


@pytest.mark.parametrize(("code", "reply"), bound_to_hosts())
def test_a_rule_of_one_host_says_nothing_about_another(code: str, reply: ServerReply) -> None:
    fields = {name: getattr(reply, name) for name in ServerReply.__slots__} | {
        "host": "mail.stranger.example"
    }
    assert explain(ServerReply(**fields)).code != code


def test_the_rules_that_belong_to_a_host_are_bound_to_it() -> None:
    bound = {code for code, _ in bound_to_hosts()}
    assert {
        "GOOGLE-PASSWORD",
        "GOOGLE-APPPWD",
        "LIMIT-DAILY",
        "LIMIT-ARUBA",
        "SPAM-ARUBA",
        "LIBERO-RESET",
    } <= bound
    assert {"M365-MAILBOX-FULL", "M365-RESTRICTED", "SENDER-ARUBA", "NET-COUNTRY"} <= bound


def test_a_host_is_no_other_that_ends_alike() -> None:
    assert explain(smtp("550 5.4.5 Daily limit", "evilsmtp.gmail.com.example")).code == "REPLY-PERMANENT"
    assert explain(smtp("550 5.4.5 Daily limit", "notsmtp.gmail.com")).code == "REPLY-PERMANENT"
    assert explain(smtp("550 5.4.5 Daily limit", "SMTP.gmail.com.")).code == "LIMIT-DAILY"


def test_five_four_five_is_a_daily_limit_only_at_google() -> None:
    found = explain(smtp("550 5.4.5 Routing loop detected", step="recipient"))
    assert (found.code, found.outcome) == ("REPLY-PERMANENT", M)


def test_a_line_that_is_down_pauses_nobody_because_of_the_country() -> None:
    for known in (WORKED, {}):
        assert explain(net("timeout", "mail-out.eolo.it", **known)).outcome is R


def test_libero_that_never_worked_has_simply_a_wrong_password() -> None:
    assert explain(smtp("535 Authentication failed", "smtp.libero.it", step="sign-in")).code == "AUTH-FAILED"


@pytest.mark.parametrize(
    "reply",
    [
        smtp("554 5.2.252 SendAsDenied", OFFICE, **ALIAS),
        smtp("550 5.7.1 header from not allowed", ARUBA, **ALIAS),
        smtp("553 5.7.1 Sender address rejected: not owned by user anna", **ALIAS),
        smtp("550 5.7.26 Unauthenticated email", GMAIL, **ALIAS),
        http(403, "", "ErrorSendAsDenied", **ALIAS),
    ],
)
def test_a_refused_alias_refuses_the_message_and_pauses_nobody(reply: ServerReply) -> None:
    found = explain(reply)
    assert (found.outcome, found.scope, found.pauses) == (M, Scope.MESSAGE, False)


def test_the_own_sender_refused_pauses_the_profile() -> None:
    assert explain(smtp("554 5.2.252 SendAsDenied", OFFICE)).pauses


def test_a_token_is_never_told_about_a_password() -> None:
    for _, reply, _, _ in CASES:
        if reply.credential == "token" and reply.via == "smtp":
            found = explain(reply)
            told = found.explain("en")
            assert "password" not in told.do.lower(), found.code


def test_smtp_off_is_answered_by_how_the_profile_signs_in() -> None:
    words = "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant"
    by_password = explain(smtp(words, OFFICE)).explain("en").do
    by_token = explain(smtp(words, OFFICE, **TOKEN)).explain("en").do
    assert 'press "Sign in with Microsoft"' in by_password
    assert "from SMTP to Graph" in by_token
    assert "press" not in by_token


def test_problems_carry_what_the_texts_need() -> None:
    found = explain(smtp("550 5.1.1 User unknown", step="recipient", recipient="x@y.it"))
    assert "x@y.it" in found.explain("en").what
    size = {"size": 30_000_000, "limit": 25_000_000}
    big = explain(smtp("552 5.3.4 too big", params=size)).explain("en").what
    assert big == "The message is too big: 30 MB, the limit is 25 MB."
    assert explain(smtp("552 5.3.4 too big")).explain("en").what == "The message is too big."


def test_the_servers_words_are_kept() -> None:
    found = explain(smtp("550 5.1.1 \x1b[31mUser unknown", step="recipient"))
    assert (found.reply, found.step, found.host) == ("550 5.1.1 User unknown", "recipient", "mail.example.it")


def test_a_misspelt_host_is_recognised() -> None:
    assert "smtp.libero.it" in str(explain(net("dns", "smtp.libera.it")).explain("en"))
    assert "Did you mean" not in str(explain(net("dns", "mail.quite-another.example")).explain("en"))


def test_the_right_server_is_offered_only_for_a_known_provider() -> None:
    known = explain(tls("name", params={"cn": "*.aruba.it"}, account="anna@libero.it"))
    assert "smtp.libero.it" in known.explain("en").do
    assert (
        "server is" not in explain(tls("name", params={"cn": "x"}, account="a@example.it")).explain("en").do
    )


def hours_until(found: Problem) -> float:
    assert found.retry_at is not None
    assert found.retry_at.tzinfo is not None
    return (found.retry_at - datetime.now(UTC)) / timedelta(hours=1)


def test_limits_say_when_they_end() -> None:
    assert 0 < hours_until(explain(smtp("421 4.7.0 slow", GMAIL))) < 1
    assert 0 < hours_until(explain(smtp("421 4.3.0 busy", GMAIL))) < 1
    assert 23 < hours_until(explain(smtp("550 5.4.5 limit", GMAIL))) <= 24
    assert 19 / 60 < hours_until(explain(smtp("550 policy violation", ARUBA))) <= 20 / 60
    midnight = explain(smtp("550 MAX RCPT TO DAILY LIMIT", "authsmtp.securemail.pro"))
    assert 0 < hours_until(midnight) <= 25
    assert midnight.retry_at is not None
    assert f"{midnight.retry_at.astimezone(ZoneInfo('Europe/Rome')):%H:%M:%S}" == "00:00:00"


def test_what_the_server_asks_to_wait_wins() -> None:
    asked = explain(http(429, "slow", retry_after=7200.0))
    assert 1.9 < hours_until(asked) <= 2
    assert explain(smtp("550 5.1.1 unknown", retry_after=60.0)).retry_at is None


def test_rules_that_nobody_has_confirmed_say_so() -> None:
    unconfirmed = {rule.code for rule in builtin().rules if rule.unconfirmed}
    assert unconfirmed == {"SENDER-ARUBA", "LIBERO-RESET", "NET-COUNTRY"}
    assert {code.code for code in known_codes().values() if code.unconfirmed} == unconfirmed
