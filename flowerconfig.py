"""Flower's settings, read by `celery -A tasks flower`: closed to others unless a password is set."""

from tornado.options import options

from pipeline.settings import Settings
from tasks.dashboard import close_metrics, guarded_address, require_events, take_password_file

require_events(Settings.from_environment())
take_password_file(options)
close_metrics()
address = guarded_address(options)
# Flower shows; what changes the system is a command of its own.
read_only = True
tasks_columns = "name,uuid,state,args,result,received,started,runtime,worker,retries"
