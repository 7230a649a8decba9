-- Accounts of any source that do not log in by themselves until an operator says so, known to every instance.
create table account_login_bar (
    name text primary key,
    reason text not null
);
