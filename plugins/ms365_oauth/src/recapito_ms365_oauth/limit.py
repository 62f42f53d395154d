"""What Graph and Exchange Online take."""

from recapito.limits import Limits, Rate

__all__ = ["AT_ONCE", "BY_DRAFT", "GRAPH", "RECIPIENTS", "SMTP"]

#: Bytes of MIME in one request. Graph takes 4 MB of base64 by its documentation; above some 2,240 kB of MIME it was
#: seen to answer 200 and send nothing (microsoft-graph-docs-contrib, issue 3079).
AT_ONCE = 2_000_000

#: Bytes of a message by way of a draft (learn: attach large files to Outlook messages). The mailbox's own limit, 35 MB
#: unless an administrator raised it, is the server's to say.
BY_DRAFT = 150_000_000

#: Recipients of one message (learn: Exchange Online limits; an administrator may allow up to 1,000).
RECIPIENTS = 500

# Same page: for each mailbox, each occurrence of a recipient counting.
_A_DAY = Rate(10_000, 86_400, "recipients")

#: Four requests at once for a mailbox (learn: Microsoft Graph throttling limits, Outlook).
GRAPH = Limits(concurrency=4, rates=(_A_DAY,), recipients_per_message=RECIPIENTS)

#: Three connections and thirty messages a minute (learn: Exchange Online limits, SMTP client submission).
SMTP = Limits(concurrency=3, rates=(Rate(30, 60), _A_DAY), recipients_per_message=RECIPIENTS)
