"""Device time: granted, held, spent, forecast, and written down for good.

    amount    DeviceTime, the unit of account          bill      device time by purpose
    clock     the one place that reads a clock         errors    every way a budget can say no
    ledger    the facts and the function over them     account   a journal and its balance
    journal   facts in order, kept for good            codec     facts as JSON, exactly
    forecast  what a stage will take                   spec      YAML to typed objects, at the door

Nothing is imported here, so that who needs an amount does not load a database library.
"""
