"""The only modules that import Ray, Optuna and MLflow: their words end here."""
