//! Processor time of a system under test and of this process (Linux).

use std::fs;
use std::ops::Range;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

use crate::carrier::Failure;

/// Processor seconds so far, user and system.
pub(crate) struct Usage {
    pub(crate) own_s: f64,
    /// Of the system, if its process is known.
    pub(crate) others_s: Option<f64>,
}

impl Usage {
    /// Of this process, and of that one with its children.
    pub(crate) fn now(pid: Option<u32>) -> Result<Usage, Failure> {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        let own_s = own.tv_sec as f64 + own.tv_nsec as f64 / 1e9;
        Ok(Usage { own_s, others_s: pid.map(family_s).transpose()? })
    }
}

fn family_s(pid: u32) -> Result<f64, Failure> {
    let mut ticks = ticks_of(&stat(pid)?)?;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(other) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // What a child that has ended meanwhile used is its parent's.
        let Ok(fields) = stat(other) else { continue };
        if fields[PARENT] == pid.to_string() {
            ticks += ticks_of(&fields)?;
        }
    }
    Ok(ticks as f64 / clock_ticks_per_second() as f64)
}

// Fields of /proc/PID/stat behind the command's name: the parent; then time as user and system, the
// same of children that have ended.
const PARENT: usize = 1;
const TIMES: Range<usize> = 11..15;

fn ticks_of(fields: &[String]) -> Result<u64, Failure> {
    let times = fields.get(TIMES).ok_or("not a line of /proc/PID/stat")?;
    times.iter().map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
}

fn stat(pid: u32) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold spaces.
    let behind = text.rsplit_once(')').ok_or("not a line of /proc/PID/stat")?.1;
    Ok(behind.split_whitespace().map(str::to_owned).collect())
}
