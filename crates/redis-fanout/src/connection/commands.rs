//! What is said on a [`Wire`]: batches, last values, health records, and whether the server is still the master.

use std::future::Future;

use market_model::InstrumentToken;

use super::resp::{Commands, Reply};
use super::wire::{Answer, Wire};
use super::{LastWrite, Reach, Refused, job_of_message, millis};
use crate::lane::{HealthJob, PublishJob};
use crate::reader::{FIELDS, StoredFields};
use crate::{Keys, RedisError};

// === impl Wire ===

impl Wire {
    pub(super) fn publish(
        &mut self,
        jobs: &[PublishJob],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        let job_of = job_of_message(jobs);
        let mut commands = Commands::with_capacity(job_of.len());
        for job in jobs {
            for channel in job.channels() {
                commands.begin(3);
                commands.word(b"PUBLISH");
                commands.word(channel);
                commands.shared(&job.payload);
            }
        }
        let answer = self.send(commands);
        async move { Ok(refused(answer.await?).map(|refused| refused.of(&job_of))) }
    }

    pub(super) fn write_last(
        &mut self,
        keys: &Keys,
        writes: &[LastWrite],
    ) -> impl Future<Output = Result<Option<Refused>, RedisError>> + Send + use<> {
        let mut commands = Commands::with_capacity(2 * writes.len());
        let mut write_of = Vec::with_capacity(writes.len());
        let mut key = bytes::BytesMut::new();
        for (index, write) in writes.iter().enumerate() {
            key.clear();
            keys.write_last(write.value.token, &mut key);
            put_last(&mut commands, &key, write);
            write_of.resize(commands.count(), index);
        }
        let answer = self.send(commands);
        async move { Ok(refused(answer.await?).map(|refused| refused.of(&write_of))) }
    }

    pub(super) async fn read_last(
        &mut self,
        keys: &Keys,
        tokens: &[InstrumentToken],
    ) -> Result<Vec<StoredFields>, RedisError> {
        let mut commands = Commands::with_capacity(tokens.len());
        let mut key = bytes::BytesMut::new();
        for token in tokens {
            key.clear();
            keys.write_last(*token, &mut key);
            commands.begin(2 + FIELDS.len());
            commands.word(b"HMGET");
            commands.word(&key);
            FIELDS.iter().for_each(|field| commands.word(field.as_bytes()));
        }
        let replies = self.ask_each(commands).await?;
        replies.into_iter().map(stored_fields).collect()
    }

    pub(super) fn append(
        &mut self,
        stream: &str,
        keep: u32,
        job: &HealthJob,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let mut commands = Commands::with_capacity(2);
        commands.begin(12);
        for word in ["XADD", stream, "MAXLEN", "~"] {
            commands.word(word.as_bytes());
        }
        commands.number(keep);
        for word in ["*", "type", job.kind, "source", &job.source, "data"] {
            commands.word(word.as_bytes());
        }
        commands.shared(&job.payload);
        let answer = self.send(commands);
        async move { accepted(answer.await?).map(drop) }
    }

    /// Asks it before the connection is in use.
    pub(super) async fn ask_ping(&mut self, reach: Reach) -> Result<(), RedisError> {
        let answer = self.ask(ping_command(reach)).await?;
        ping_answer(answer, reach)
    }

    /// Asks whether the server is there and, unless any one will do, still the master. Every user may ask that.
    pub(super) fn ping(
        &mut self,
        reach: Reach,
    ) -> impl Future<Output = Result<(), RedisError>> + Send + use<> {
        let answer = self.send(ping_command(reach));
        async move { ping_answer(answer.await?, reach) }
    }
}

fn ping_command(reach: Reach) -> Commands {
    Commands::of(match reach {
        Reach::AnyNode => &["PING"],
        Reach::Named => &["HELLO"],
    })
}

fn ping_answer(answer: Answer, reach: Reach) -> Result<(), RedisError> {
    match accepted(answer) {
        Ok(reply) if reach == Reach::Named => role_of(&reply).map_or(Ok(()), master_only),
        // Older than 6.2, or a proxy: it has answered, but says nothing of its role.
        Err(RedisError::Reply(_)) if reach == Reach::Named => Ok(()),
        other => other.map(drop),
    }
}

/// The reply to a single command, unless it is an error.
pub(super) fn accepted(answer: Answer) -> Result<Reply, RedisError> {
    match answer.last {
        Reply::Error(text) => Err(RedisError::of_reply(&text)),
        reply => Ok(reply),
    }
}

/// What was refused of commands that stand on their own.
fn refused(answer: Answer) -> Option<Refused> {
    let (_, first) = answer.refused.first()?;
    let error = RedisError::of_reply(first);
    Some(Refused { error, items: answer.refused.into_iter().map(|(command, _)| command).collect() })
}

fn put_last(commands: &mut Commands, key: &[u8], write: &LastWrite) {
    let head = &write.value.head;
    commands.begin(14);
    commands.word(b"HSET");
    commands.word(key);
    commands.word(b"v");
    commands.number(snapshot_wire::VERSION);
    commands.word(b"seq");
    commands.number(head.seq);
    commands.word(b"ts_publish");
    commands.number(head.ts_publish);
    commands.word(b"source");
    commands.word(&head.source);
    commands.word(b"sim");
    commands.word(if head.sim { b"true" } else { b"false" });
    commands.word(b"tick");
    commands.shared(&write.value.tick);
    if let Some(expiry) = write.expiry {
        commands.begin(3);
        commands.word(b"PEXPIRE");
        commands.word(key);
        commands.number(millis(expiry));
    }
}

/// The reply to `HMGET`.
fn stored_fields(reply: Reply) -> Result<StoredFields, RedisError> {
    match reply {
        Reply::Error(text) => Err(RedisError::of_reply(&text)),
        Reply::Array(fields) => {
            let mut stored = StoredFields::default();
            for (place, field) in stored.iter_mut().zip(fields) {
                if let Reply::Text(text) = field {
                    *place = Some(text);
                }
            }
            Ok(stored)
        }
        _ => Err(RedisError::Reply("it answers HMGET without fields".to_owned())),
    }
}

/// The field `role` of an answer to `HELLO`.
fn role_of(answer: &Reply) -> Option<&str> {
    let Reply::Array(fields) = answer else {
        return None;
    };
    let [_, role] = fields.as_chunks::<2>().0.iter().find(|[name, _]| name.text() == Some("role"))?;
    role.text()
}

fn master_only(role: &str) -> Result<(), RedisError> {
    match role {
        "master" => Ok(()),
        other => Err(RedisError::Replica(format!("it says its role is {other}"))),
    }
}
