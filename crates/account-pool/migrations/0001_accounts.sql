create table account (
    name text primary key,
    version bigint not null,
    api_key bytea not null,
    api_key_digest bytea not null,
    api_secret bytea,
    password bytea,
    totp_seed bytea,
    user_id text,
    trading_account text not null,
    rest_url text not null,
    ticker_url text not null,
    simulated bigint not null,
    enabled bigint not null,
    priority bigint not null,
    weight bigint not null,
    connections bigint not null,
    tokens_per_connection bigint not null,
    registered_addresses text not null,
    automatic_login bigint not null
);

create unique index account_api_key on account (api_key_digest);

-- Tokens of accounts from every source, so no reference to the table above.
create table account_token (
    name text primary key,
    api_key_digest bytea not null,
    token bytea not null,
    obtained bigint not null
);

create table account_order_day (
    trading_account text not null,
    day bigint not null,
    orders bigint not null,
    primary key (trading_account, day)
);
