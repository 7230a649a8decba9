//! Every statement of the store. A day takes a fixed number of them; its rows share statements.

use sql_store::Kind::{Int, Text};
use sql_store::Statement;

macro_rules! columns {
    () => {
        "select exchange, tradingsymbol, token, segment, name, kind, expiry_day, strike, lot_size, tick_size"
    };
}

pub(super) static HEAD: Statement = Statement::new(
    "instrument head",
    "select h.version, h.day, d.listed, d.taken_at from instrument_head h \
     left join instrument_day d on d.day = h.day where h.id = 1",
    &[],
);

/// Says that whoever works on this version is at work no more.
pub(super) static CLAIM: Statement = Statement::new(
    "claim instruments",
    "update instrument_head set version = version + 1 where id = 1 and version = $1",
    &[Int],
);

/// Goes on only while nobody else has claimed.
pub(super) static HOLD: Statement = Statement::new(
    "hold instruments",
    "update instrument_head set version = version where id = 1 and version = $1",
    &[Int],
);

pub(super) static ADVANCE: Statement = Statement::new(
    "advance instruments",
    "update instrument_head set version = version + 1, day = $1 where id = 1 and version = $2",
    &[Int, Int],
);

/// Rows of a day that was never finished.
pub(super) static CLEAR_UNFINISHED: Statement = Statement::new(
    "clear unfinished instruments",
    "delete from instrument_version where first_day > $1",
    &[Int],
);

pub(super) static CLEAR_ENDING: Statement =
    Statement::new("clear ending instruments", "delete from instrument_ending", &[]);

pub(super) static INSERT_ENDING: Statement = Statement::new(
    "insert ending instruments",
    "insert into instrument_ending (exchange, tradingsymbol) values ($1, $2) on conflict (exchange, tradingsymbol) do nothing",
    &[Text, Text],
);

/// What was stored earlier on the same day was never so at the end of it.
pub(super) static DROP_ENDING: Statement = Statement::new(
    "drop instruments of the day",
    "delete from instrument_version where last_day = $1 and first_day = $2 \
     and (exchange, tradingsymbol) in (select exchange, tradingsymbol from instrument_ending)",
    &[Int, Int],
);

pub(super) static END: Statement = Statement::new(
    "end instruments",
    "update instrument_version set last_day = $1 where last_day = $2 and first_day < $3 \
     and (exchange, tradingsymbol) in (select exchange, tradingsymbol from instrument_ending)",
    &[Int, Int, Int],
);

pub(super) static INSERT: Statement = Statement::new(
    "insert instruments",
    "insert into instrument_version (exchange, tradingsymbol, first_day, last_day, token, segment, name, kind, \
     expiry_day, strike, lot_size, tick_size) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    &[Text, Text, Int, Int, Int, Text, Text, Text, Int, Int, Int, Int],
);

pub(super) static STORE_DAY: Statement = Statement::new(
    "store instrument day",
    "insert into instrument_day (day, listed, taken_at) values ($1, $2, $3) \
     on conflict (day) do update set listed = excluded.listed, taken_at = excluded.taken_at",
    &[Int, Int, Int],
);

/// The stored day that answers for a day.
pub(super) static STORED_DAY: Statement = Statement::new(
    "stored instrument day",
    "select day, listed, taken_at from instrument_day where day <= $1 order by day desc limit 1",
    &[Int],
);

pub(super) static DAYS: Statement = Statement::new(
    "stored instrument days",
    "select day, listed, taken_at from instrument_day order by day desc limit $1",
    &[Int],
);

pub(super) static PAGE: Statement = Statement::new(
    "instruments of a day",
    concat!(
        columns!(),
        " from instrument_version where first_day <= $1 and last_day >= $2 and (exchange, tradingsymbol) > ($3, $4) \
         order by exchange, tradingsymbol limit $5"
    ),
    &[Int, Int, Text, Text, Int],
);

pub(super) static BY_TOKEN: Statement = Statement::new(
    "instrument by token",
    concat!(
        columns!(),
        " from instrument_version where token = $1 and first_day <= $2 and last_day >= $3 order by first_day desc limit 1"
    ),
    &[Int, Int, Int],
);

pub(super) static BY_SYMBOL: Statement = Statement::new(
    "instrument by symbol",
    concat!(
        columns!(),
        " from instrument_version where exchange = $1 and tradingsymbol = $2 and first_day <= $3 and last_day >= $4 limit 1"
    ),
    &[Text, Text, Int, Int],
);

pub(super) static BY_NAME: Statement = Statement::new(
    "instruments by name",
    concat!(
        columns!(),
        " from instrument_version where name = $1 and exchange = $2 and first_day <= $3 and last_day >= $4 \
         order by tradingsymbol limit $5"
    ),
    &[Text, Text, Int, Int, Int],
);

pub(super) static VERSIONS_OF_SYMBOL: Statement = Statement::new(
    "versions of a symbol",
    concat!(
        columns!(),
        ", first_day, last_day from instrument_version where exchange = $1 and tradingsymbol = $2 \
         and first_day <= $3 order by first_day desc limit $4"
    ),
    &[Text, Text, Int, Int],
);

pub(super) static VERSIONS_OF_TOKEN: Statement = Statement::new(
    "versions of a token",
    concat!(
        columns!(),
        ", first_day, last_day from instrument_version where token = $1 and first_day <= $2 order by first_day desc limit $3"
    ),
    &[Int, Int, Int],
);

pub(super) static FORGET_VERSIONS_BEFORE: Statement = Statement::new(
    "forget old instruments",
    "delete from instrument_version where last_day < (select min(day) from \
     (select $1 as day union all select day from instrument_head where id = 1 and day is not null) limits)",
    &[Int],
);

pub(super) static FORGET_DAYS_BEFORE: Statement = Statement::new(
    "forget old instrument days",
    "delete from instrument_day where day < $1 and day < (select day from instrument_head where id = 1)",
    &[Int],
);

pub(super) static REOPEN_AFTER: Statement = Statement::new(
    "reopen instruments",
    "update instrument_version set last_day = $1 where last_day >= $2 and last_day < $3",
    &[Int, Int, Int],
);

pub(super) static FORGET_DAYS_AFTER: Statement =
    Statement::new("forget later instrument days", "delete from instrument_day where day > $1", &[Int]);

/// Without any day nothing holds.
pub(super) static CLEAR_WITHOUT_DAYS: Statement = Statement::new(
    "clear instruments without days",
    "delete from instrument_version where not exists (select 1 from instrument_day)",
    &[],
);

pub(super) static HEAD_IS_LAST_DAY: Statement = Statement::new(
    "take back instrument head",
    "update instrument_head set version = version + 1, day = (select max(day) from instrument_day) where id = 1",
    &[],
);
