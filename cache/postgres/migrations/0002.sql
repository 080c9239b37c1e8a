-- The tables of package objects.
create table mirror_objects    (key bytea primary key, value bytea not null);
create table mirror_uploads    (key bytea primary key, value bytea not null);
create table mirror_trash      (key bytea primary key, value bytea not null);
create table mirror_quarantine (key bytea primary key, value bytea not null);
create table mirror_bucket     (key bytea primary key, value bytea not null);
