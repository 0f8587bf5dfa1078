"""Device time: granted, held, spent, forecast, and written down for good.

    amount    DeviceTime, the unit of account          bill       device time by purpose
    clock     the one place that reads a clock         errors     every way a budget can say no
    ledger    the facts and the function over them     account    a journal and its balance
    lines     the port to a journal, and one in memory
    journal   facts in a database, kept for good       tables     its tables
    database  the port to SQLite and PostgreSQL        append_only  rows that cannot be changed
    envelope  an account of several studies      standing    its sums, entry by entry
    account_tables  its tables                         statement  its entries, each sum checked
    reconcile an envelope and a journal, in line again
    sqlite    tables in a file                         postgres   tables in a schema of a server
    claim     one driver at a time                     codec      facts as JSON, exactly
    forecast  what a stage will take, with a bound     spec       mappings to typed objects
    core_yaml YAML 1.2, read at the door

Nothing is imported here, so that who needs an amount does not load a database library.
"""
