//! Findings about cores: how many, how much they are ours, how evenly they run.

use super::finding::Finding;
use super::machine::{Machine, parse_cpus, show_cpus};

/// A core that sleeps deeper than this wakes too late for a decision.
const WAKE_US_MAX: u64 = 10;

pub(super) fn find(machine: &Machine) -> Vec<Finding> {
    let cores = match machine.allowed() {
        Ok(cores) => cores,
        Err(why) => {
            let unknown = ["cores", "isolation", "governor", "boost", "idle states", "siblings"];
            return unknown
                .map(|name| {
                    let finding = Finding::unknown(name, why.clone());
                    if name == "cores" { finding.matters() } else { finding }
                })
                .into();
        }
    };
    vec![
        count(&cores),
        isolation(machine, &cores),
        governor(machine, &cores),
        boost(machine),
        idle_states(machine, &cores),
        siblings(machine, &cores),
        throttling(machine).matters(),
        virtualisation(machine),
    ]
}

fn count(cores: &[usize]) -> Finding {
    let list = show_cpus(cores);
    let count = cores.len();
    let name = "cores";
    match count {
        0 | 1 => Finding::bad(
            name,
            format!("{list}: one core, everything yields to everything"),
            "give the process at least two cores, better four (taskset, cpuset, a larger machine)",
        ),
        2 | 3 => Finding::warn(
            name,
            format!("{list}: feed and engine share one spinning core, the rest the other"),
            "four cores let feed, engine and execution spin on one each",
        ),
        _ => Finding::good(
            name,
            format!("{list}: feed, engine and execution pinned, {} for the rest", count - 3),
        ),
    }
}

fn isolation(machine: &Machine, cores: &[usize]) -> Finding {
    let name = "isolation";
    let isolated = machine.read("sys/devices/system/cpu/isolated");
    let (Ok(isolated), Ok(cmdline)) = (isolated, machine.read("proc/cmdline")) else {
        return Finding::unknown(
            name,
            "/sys/devices/system/cpu/isolated or /proc/cmdline cannot be read",
        );
    };
    let own = |list: &str| -> Vec<usize> {
        let listed = parse_cpus(list).unwrap_or_default();
        cores.iter().copied().filter(|core| listed.contains(core)).collect()
    };
    let isolated = own(&isolated);
    let option = |key: &str| {
        let value = cmdline.split_whitespace().find_map(|word| word.strip_prefix(key));
        own(value.unwrap_or_default())
    };
    let (nohz, rcu) = (option("nohz_full="), option("rcu_nocbs="));
    let value = format!(
        "isolated {}, without ticks {}, without RCU callbacks {}",
        shown(&isolated),
        shown(&nohz),
        shown(&rcu)
    );
    let quiet = isolated.iter().filter(|core| nohz.contains(core) && rcu.contains(core)).count();
    if quiet >= cores.len().saturating_sub(1).clamp(1, 3) {
        return Finding::good(name, value);
    }
    Finding::warn(
        name,
        value,
        "start the kernel with isolcpus=, nohz_full= and rcu_nocbs= for the cores that will spin, \
         and leave core 0 to the system",
    )
}

fn shown(cores: &[usize]) -> String {
    if cores.is_empty() { "none".to_owned() } else { show_cpus(cores) }
}

fn governor(machine: &Machine, cores: &[usize]) -> Finding {
    let name = "governor";
    let mut slow = Vec::new();
    let mut seen = String::new();
    for core in cores {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        match machine.read(&path) {
            Ok(found) if found == "performance" => {}
            Ok(found) => {
                slow.push(*core);
                seen = found;
            }
            Err(why) => return Finding::unknown(name, why),
        }
    }
    if slow.is_empty() {
        return Finding::good(name, "performance on every core");
    }
    Finding::warn(
        name,
        format!("{} on {}", seen.escape_debug(), show_cpus(&slow)),
        "cpupower frequency-set -g performance",
    )
}

fn boost(machine: &Machine) -> Finding {
    let name = "boost";
    let off = machine.number("sys/devices/system/cpu/intel_pstate/no_turbo").or_else(|_| {
        machine.number("sys/devices/system/cpu/cpufreq/boost").map(|on| 1 - on.min(1))
    });
    match off {
        Ok(0) => Finding::warn(
            name,
            "on: frequency depends on heat and on the neighbours",
            "switch it off for even latency, or keep it on for the best median, knowingly",
        ),
        Ok(_) => Finding::good(name, "off"),
        Err(_) => Finding::unknown(name, "neither intel_pstate/no_turbo nor cpufreq/boost is here"),
    }
}

fn idle_states(machine: &Machine, cores: &[usize]) -> Finding {
    let name = "idle states";
    let cmdline = machine.read("proc/cmdline").unwrap_or_default();
    if cmdline.split_whitespace().any(|word| word == "idle=poll") {
        return Finding::good(name, "none: idle=poll keeps every core awake");
    }
    let mut deep: Option<(u64, String)> = None;
    let mut looked_at = 0;
    for core in cores {
        for state in 0..16 {
            let folder = format!("sys/devices/system/cpu/cpu{core}/cpuidle/state{state}");
            if !machine.exists(&folder) {
                break;
            }
            let file = |file: &str| format!("{folder}/{file}");
            let (Ok(latency), Ok(disabled)) =
                (machine.number(&file("latency")), machine.number(&file("disable")))
            else {
                return Finding::unknown(name, format!("/{folder} cannot be read"));
            };
            looked_at += 1;
            let title = machine.read(&file("name")).unwrap_or_else(|_| format!("state {state}"));
            if disabled == 0
                && latency > WAKE_US_MAX
                && deep.as_ref().is_none_or(|(worst, _)| latency > *worst)
            {
                deep = Some((latency, title));
            }
        }
    }
    match deep {
        _ if looked_at == 0 => {
            Finding::unknown(name, "there is no cpuidle here: the host decides how cores sleep")
        }
        Some((latency, title)) => Finding::warn(
            name,
            format!("{} takes {latency} µs to wake from", title.escape_debug()),
            "disable states deeper than C1 (cpupower idle-set -D 10, or processor.max_cstate=1); \
             spinning cores never enter them, the others wake late",
        ),
        None => Finding::good(name, format!("none takes more than {WAKE_US_MAX} µs to wake from")),
    }
}

fn siblings(machine: &Machine, cores: &[usize]) -> Finding {
    let name = "siblings";
    let mut shared = Vec::new();
    for core in cores {
        let path = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        match machine.read(&path).map(|list| parse_cpus(&list)) {
            Ok(Some(threads)) if threads.len() > 1 => shared.push(*core),
            Ok(Some(_)) => {}
            Ok(None) => return Finding::unknown(name, format!("/{path} is no list")),
            Err(why) => return Finding::unknown(name, why),
        }
    }
    if shared.is_empty() {
        return Finding::good(name, "one thread on each core");
    }
    Finding::warn(
        name,
        format!("{} share their core with another thread", show_cpus(&shared)),
        "switch multithreading off (echo off > /sys/devices/system/cpu/smt/control) or leave the \
         siblings of spinning cores idle",
    )
}

/// A quota takes the whole process off its cores in the middle of a decision. It binds from any
/// group above the process, too.
fn throttling(machine: &Machine) -> Finding {
    let name = "cpu quota";
    let groups = machine.read("proc/self/cgroup").unwrap_or_default();
    let (mut free, mut why) = (false, "no group of this process can be read".to_owned());
    for (controller, base, file) in
        [("", "sys/fs/cgroup", "cpu.max"), ("cpu", "sys/fs/cgroup/cpu", "cpu.cfs_quota_us")]
    {
        for group in ancestors(&groups, controller) {
            match machine.read(&format!("{base}/{group}/{file}")) {
                Err(error) => why = error,
                Ok(text) if text.starts_with("max") || text == "-1" => free = true,
                Ok(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
                    return Finding::bad(
                        name,
                        format!("{} µs a period", text.escape_debug()),
                        "remove the quota (cpu.max = max; no CPU limit of the container) and use \
                         a cpuset",
                    );
                }
                Ok(text) => {
                    let value = format!("{file} is \"{}\"", text.escape_debug());
                    return Finding::unknown(name, value);
                }
            }
        }
    }
    // The machine's own group, unlike any other, has a list of controllers and no quota file.
    let own = groups.lines().any(|line| line == "0::/");
    if free || own && machine.exists("sys/fs/cgroup/cgroup.controllers") {
        return Finding::good(name, "none");
    }
    Finding::unknown(name, why)
}

/// The group of a controller and all groups above it, the uppermost last. In a container the path
/// may be the host's, of which only the uppermost is there.
fn ancestors(groups: &str, controller: &str) -> Vec<String> {
    let path = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|one| one == controller).then_some(path)
    });
    // A path from the system, kept below the folder of groups.
    let path = path.filter(|path| !path.contains("..")).unwrap_or_default();
    let mut path = path.trim_matches('/');
    let mut found = Vec::new();
    while !path.is_empty() {
        found.push(path.to_owned());
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
    found.push(".".to_owned());
    found
}

fn virtualisation(machine: &Machine) -> Finding {
    let name = "virtualisation";
    match machine.field("proc/cpuinfo", "flags") {
        Err(why) => Finding::unknown(name, why),
        Ok(flags) if flags.split_whitespace().any(|flag| flag == "hypervisor") => Finding::warn(
            name,
            "a virtual machine: the host may take a core away at any time",
            "use a machine of your own, or one with dedicated cores, and watch steal and jitter",
        ),
        Ok(_) => Finding::good(name, "none"),
    }
}
