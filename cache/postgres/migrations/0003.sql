-- The table of package lease.
create table mirror_leases (key bytea primary key, value bytea not null);
