-- How each account stands, as the holder of its lease wrote it last.
create table account_standing (
    name text primary key,
    fence bigint not null,
    usable bigint not null,
    reason text not null,
    -- Microseconds since 1970 by the database's clock.
    at bigint not null
);
