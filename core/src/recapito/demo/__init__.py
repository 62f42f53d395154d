"""The demo: servers, a store, operators and their invoices, all made on the spot and all on this machine."""
