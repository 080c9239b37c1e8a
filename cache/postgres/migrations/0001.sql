-- The tables of the index: one for each backend.Table of package cache and of package packed.
create table mirror_meta      (key bytea primary key, value bytea not null);
create table mirror_repos     (key bytea primary key, value bytea not null);
create table mirror_blobs     (key bytea primary key, value bytea not null);
create table mirror_links     (key bytea primary key, value bytea not null);
create table mirror_manifests (key bytea primary key, value bytea not null);
create table mirror_uses      (key bytea primary key, value bytea not null);
create table mirror_tags      (key bytea primary key, value bytea not null);
create table mirror_tagged    (key bytea primary key, value bytea not null);
create table mirror_roots     (key bytea primary key, value bytea not null);
create table mirror_parents   (key bytea primary key, value bytea not null);
create table mirror_referrers (key bytea primary key, value bytea not null);
create table mirror_recency   (key bytea primary key, value bytea not null);
create table mirror_notes     (key bytea primary key, value bytea not null);
create table mirror_names     (key bytea primary key, value bytea not null);
create table mirror_ids       (key bytea primary key, value bytea not null);
