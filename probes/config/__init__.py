"""adapter_config.json: fields that import, load, change the base, hang or explode, and claims that do not hold."""
