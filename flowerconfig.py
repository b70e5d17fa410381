"""Flower's settings, read by `celery -A tasks flower`: closed to others unless a password is set."""

from tornado.options import options

from pipeline.settings import Settings
from tasks.dashboard import (
    close_metrics,
    guarded_address,
    require_events,
    take_broker_user,
    take_password_file,
)

_settings = Settings.from_environment()
require_events(_settings)
take_password_file(options)
take_broker_user(options, _settings)
close_metrics()
address = guarded_address(options)
# Flower shows; what changes the system is a command of its own.
read_only = True
tasks_columns = "name,uuid,state,args,result,received,started,runtime,worker,retries"
