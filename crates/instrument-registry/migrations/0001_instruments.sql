-- What was listed when. A row holds from first_day to last_day, both included, in days since 1970-01-01;
-- last_day 9999999 means: still so on the last stored day.
create table instrument_version (
    exchange text not null,
    tradingsymbol text not null,
    first_day bigint not null,
    last_day bigint not null,
    token bigint not null,
    segment text not null,
    name text not null,
    kind text not null,
    expiry_day bigint,
    strike bigint not null,
    lot_size bigint not null,
    tick_size bigint not null,
    primary key (exchange, tradingsymbol, first_day)
);
create index instrument_version_token on instrument_version (token, first_day);
create index instrument_version_name on instrument_version (name, exchange);

-- Every stored day.
create table instrument_day (
    day bigint primary key,
    listed bigint not null,
    taken_at bigint not null
);

-- Which rows end with the change that is being written; empty at all other times.
create table instrument_ending (
    exchange text not null,
    tradingsymbol text not null,
    primary key (exchange, tradingsymbol)
);

-- One row: grows with every change, so that of two writers one is refused.
create table instrument_head (
    id bigint primary key,
    version bigint not null,
    day bigint
);
insert into instrument_head (id, version, day) values (1, 0, null);
