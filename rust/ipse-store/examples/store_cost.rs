//! What the store costs: encoding, decoding, replay and snapshots, on the disk that is here.
//!
//! `cargo run --release -p ipse-store --example store_cost -- [RECORDS]`
//!
//! Each record is an event that shows three identifiers of a person, one of them new: five
//! identifiers for three records. Prints one JSON object. Times are this thread's CPU time, so
//! that they mean something on a busy machine; the snapshot's is elapsed time. When a store is
//! opened, another thread reads what this one applies: with a processor for each, opening takes
//! what the busier of them takes. `_all_threads_s` is the CPU time of both.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use ipse_core::{Change, Event, Record, SentIdentifier, SequenceNumber, Timestamp};
use ipse_store::codec::{decode_record, encode_record};
use ipse_store::{Options, Store, SyncPolicy};

const RULES: &str = "\
[namespaces.user]
priority = 1
limit = 1
[namespaces.email]
priority = 2
limit = 5
[namespaces.device]
priority = 3
limit = 100
";

fn main() -> Result<(), Box<dyn Error>> {
    let records = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let options = Options { sync: SyncPolicy::Off, ..Options::default() };
    let (store, _) = Store::open(directory.path(), options.clone(), 1)?;
    let now = Timestamp::from_millis(1_767_225_600_000).ok_or("a time of this century")?;
    let workspace = store.lock().create_workspace("bench", [7; 16], RULES, now).0;
    let mut sample = Vec::new();
    let started = Cpu::now();
    for number in 0..records {
        let event = event(number);
        let mut locked = store.lock();
        let decision = locked.graph(workspace).decide(&event, now).map_err(|_| "refused")?;
        let change = Change::EventResolved(decision.resolved);
        let (record, _) = locked.commit(workspace, now, change)?;
        if number < 1_000 {
            encode_record(&mut sample, 0, &record);
        }
        let full = locked.queue_is_full();
        let position = locked.position();
        drop(locked);
        if full {
            store.wait_synced(position, None)?;
        }
    }
    let live_s = started.seconds();
    let (decode_ns, encode_ns) = codec(&sample)?;
    store.close(false)?;

    let (own, all) = (Cpu::now(), Cpu::of_all_threads());
    let (store, recovery) = Store::open(directory.path(), options.clone(), 2)?;
    let (replay_s, replay_all_s) = (own.seconds(), Cpu::of_all_threads().0 - all.0);
    let snapshot = store.checkpoint()?;
    store.close(false)?;
    let (own, all) = (Cpu::now(), Cpu::of_all_threads());
    let (store, loaded) = Store::open(directory.path(), options, 3)?;
    let (load_s, load_all_s) = (own.seconds(), Cpu::of_all_threads().0 - all.0);
    let identifiers = store.lock().graph(workspace).counts().identifiers;
    println!(
        "{{\"records\": {}, \"identifiers\": {identifiers}, \"record_bytes\": {}, \
         \"live_s\": {live_s:.3}, \"encode_ns\": {encode_ns:.0}, \"decode_ns\": {decode_ns:.0}, \
         \"replay_elapsed_s\": {:.3}, \"replay_s\": {replay_s:.3}, \
         \"replay_all_threads_s\": {replay_all_s:.2}, \"replayed_per_s\": {:.0}, \
         \"snapshot_s\": {:.3}, \"snapshot_bytes\": {}, \"load_elapsed_s\": {:.3}, \
         \"load_s\": {load_s:.3}, \"load_all_threads_s\": {load_all_s:.2}}}",
        recovery.replayed_records,
        sample.len() / 1_000,
        recovery.seconds,
        recovery.replayed_records as f64 / replay_s,
        snapshot.seconds,
        snapshot.size_bytes,
        loaded.seconds,
    );
    Ok(())
}

/// CPU time of this thread, as Linux counts it.
struct Cpu(f64);

impl Cpu {
    fn now() -> Cpu {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Cpu(nanos.unwrap_or(0.0) / 1e9)
    }

    /// CPU time of the process.
    fn of_all_threads() -> Cpu {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
        let hundredths = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
        Cpu(hundredths.sum::<f64>() / 100.0)
    }

    fn seconds(&self) -> f64 {
        Cpu::now().0 - self.0
    }
}

fn event(number: u64) -> Event<'static> {
    let person = number / 3;
    let sent = |namespace: &'static str, value: String| SentIdentifier::new(namespace, value);
    Event {
        kind: "track",
        source: "bench",
        identifiers: vec![
            sent("user", format!("user-{person:010}")),
            sent("email", format!("{person:08}@example.com")),
            sent("device", format!("device-{number:010}")),
        ],
        ..Event::default()
    }
}

/// Nanoseconds to decode and to encode a record, each over and over from memory.
fn codec(sample: &[u8]) -> Result<(f64, f64), Box<dyn Error>> {
    const ROUNDS: u32 = 200;
    let mut records: Vec<Record<'_>> = Vec::new();
    let started = Cpu::now();
    for _ in 0..ROUNDS {
        records.clear();
        let mut offset = 0;
        while offset < sample.len() {
            let (_, record, size) =
                decode_record(&sample[offset..]).map_err(|error| error.problem)?;
            records.push(record);
            offset += size;
        }
    }
    let count = f64::from(ROUNDS) * records.len() as f64;
    let decode_ns = started.seconds() * 1e9 / count;
    let mut buffer = Vec::new();
    let started = Cpu::now();
    for _ in 0..ROUNDS {
        buffer.clear();
        for record in &records {
            encode_record(&mut buffer, 0, record);
        }
    }
    let encode_ns = started.seconds() * 1e9 / count;
    assert_eq!(records[0].sequence, SequenceNumber(2), "the sample begins with the first event");
    assert_eq!(buffer, sample, "what was decided is encoded alike");
    Ok((decode_ns, encode_ns))
}
