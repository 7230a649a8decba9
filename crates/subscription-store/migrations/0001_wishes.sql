create table wishes (
    id text not null primary key,
    version bigint not null,
    owner text not null,
    priority bigint not null,
    mode text not null,
    account_rule text not null,
    account text not null,
    what text not null
);

create index wishes_by_owner on wishes (owner);

-- One row. Every change of a wish counts it up first, so that writers wait for each other here.
create table wish_book (
    id bigint not null primary key,
    generation bigint not null
);

insert into wish_book (id, generation) values (1, 0);

-- One row: the newest plan of the feed, for whoever continues it.
create table kept_plan (
    id bigint not null primary key,
    generation bigint not null,
    content bytea
);

insert into kept_plan (id, generation, content) values (1, 0, null);
