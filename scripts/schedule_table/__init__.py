"""scripts/schedules: forty virtual peers under each policy, the table, its three statements and its picture."""
