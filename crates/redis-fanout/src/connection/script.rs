//! Many small commands as one: the client library costs about 4 us per command, and a script is one command.

use std::ops::RangeInclusive;

use bytes::{BufMut, Bytes, BytesMut};
use fred::types::Value;

use super::{LastWrite, millis};
use crate::lane::PublishJob;
use crate::{Keys, RedisError};

/// Pairs of channel and payload. A channel that is not allowed does not keep the others from being published. Answers
/// nothing, or the first error and then which pairs failed, from 1.
const PUBLISH: &str = "\
local failed = {}
for i = 1, #ARGV, 2 do
  local done = redis.pcall('PUBLISH', ARGV[i], ARGV[i + 1])
  if type(done) == 'table' and done.err then
    failed[1] = failed[1] or done.err
    failed[#failed + 1] = (i + 1) / 2
  end
end
return failed";

/// The version of the payload, then groups: how many keys, their expiry in milliseconds (0: unchanged), the fields
/// they share, and the tick of each. A key that cannot be written (of another type, say) does not keep the others
/// from being written. Answers nothing, or the first error and then which keys failed, from 1.
const WRITE_LAST: &str = "\
local failed, at, done_keys = {}, 2, 0
while ARGV[at] do
  local count, expiry = tonumber(ARGV[at]), ARGV[at + 1]
  local seq, ts, source, sim = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  for i = 1, count do
    local key = KEYS[done_keys + i]
    local done = redis.pcall('HSET', key, 'v', ARGV[1], 'seq', seq, 'ts_publish', ts, 'source', source,
      'sim', sim, 'tick', ARGV[at + 5 + i])
    if type(done) == 'table' and done.err then
      failed[1] = failed[1] or done.err
      failed[#failed + 1] = done_keys + i
    elseif expiry ~= '0' then
      redis.call('PEXPIRE', key, expiry)
    end
  end
  done_keys = done_keys + count
  at = at + 6 + count
end
return failed";

/// What stands before the pairs in [`publish_arguments`]: the script and the number of its keys.
pub(super) const SCRIPT_HEAD: usize = 2;

/// What Redis refused of a command's work: why, and which of its items, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: RedisError,
    pub(crate) items: Vec<usize>,
}

/// Arguments of the script that publishes `jobs`, and for each pair of channel and payload the job it belongs to.
pub(super) fn publish_arguments(jobs: &[PublishJob]) -> (Vec<Value>, Vec<usize>) {
    let mut arguments = Vec::with_capacity(SCRIPT_HEAD + 4 * jobs.len());
    arguments.extend([Value::from_static_str(PUBLISH), Value::Integer(0)]);
    let mut job_of_pair = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        for channel in std::iter::once(&job.channel).chain(&job.legacy_channel) {
            arguments.extend([Value::Bytes(channel.clone()), Value::Bytes(job.payload.clone())]);
            job_of_pair.push(index);
        }
    }
    (arguments, job_of_pair)
}

/// Arguments of the script that writes `writes`.
pub(super) fn last_arguments(keys: &Keys, writes: &[LastWrite]) -> Vec<Value> {
    let mut arguments = Vec::with_capacity(3 + 4 * writes.len());
    arguments.extend([Value::from_static_str(WRITE_LAST), Value::Integer(writes.len() as i64)]);
    let mut names = BytesMut::with_capacity(48 * writes.len());
    for write in writes {
        keys.write_last(write.value.token, &mut names);
        arguments.push(Value::Bytes(names.split().freeze()));
    }
    arguments.push(Value::Integer(snapshot_wire::VERSION as i64));
    for group in writes.chunk_by(|a, b| a.expiry == b.expiry && a.value.head == b.value.head) {
        let (head, expiry) = (&group[0].value.head, group[0].expiry);
        arguments.extend([
            Value::Integer(group.len() as i64),
            Value::Integer(expiry.map_or(0, millis)),
            Value::Bytes(unsigned(head.seq)),
            Value::Integer(head.ts_publish),
            Value::Bytes(head.source.clone()),
            Value::from_static_str(if head.sim { "true" } else { "false" }),
        ]);
        arguments.extend(group.iter().map(|write| Value::Bytes(write.value.tick.clone())));
    }
    arguments
}

/// What a script answered; `None` when all is done.
pub(super) fn refused(answer: &Value, items: RangeInclusive<usize>) -> Option<Refused> {
    let Value::Array(answer) = answer else { return None };
    let (error, failed) = answer.split_first()?;
    let error = RedisError::of_reply(&error.as_string().unwrap_or_default());
    let index = |value: &Value| value.as_usize().filter(|at| items.contains(at)).map(|at| at - 1);
    Some(Refused { error, items: failed.iter().filter_map(index).collect() })
}

fn unsigned(number: u64) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_slice(itoa::Buffer::new().format(number).as_bytes());
    bytes.freeze()
}
