"""Running a sweep: the parent that schedules, the server that forks, the child that measures."""
