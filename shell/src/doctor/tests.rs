//! Machines made of files: a healthy one, and each thing that can be wrong with it.

use std::fs;
use std::path::PathBuf;

use super::*;

const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units
Max open files            65536                65536                files
Max locked memory         unlimited            unlimited            bytes
Max realtime priority     99                   99
";

/// The files of a machine, removed with it.
struct Fixture(PathBuf);

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Fixture {
    /// Five cores, of which 1 to 4 are isolated, with nothing to complain of.
    fn healthy(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("reap-doctor-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let machine = Self(root);
        machine.put("proc/self/status", "Name:\treap\nCpus_allowed_list:\t0-4\n");
        machine.put("proc/self/limits", LIMITS);
        machine.put("proc/self/cgroup", "0::/reap.slice\n");
        machine.put("sys/fs/cgroup/reap.slice/cpu.max", "max 100000\n");
        machine.put("proc/cmdline", "quiet isolcpus=1-4 nohz_full=1-4 rcu_nocbs=1-4\n");
        machine.put("proc/cpuinfo", "processor : 0\nflags : fpu constant_tsc nonstop_tsc rdtscp\n");
        machine.put("proc/meminfo", "MemTotal: 1 kB\nSwapTotal:       0 kB\n");
        machine.put("proc/sys/net/core/busy_poll", "50\n");
        machine.put("proc/sys/net/core/busy_read", "50\n");
        machine.put("proc/sys/net/core/rmem_max", "16777216\n");
        machine.put("proc/sys/net/core/wmem_max", "16777216\n");
        machine.put("proc/sys/kernel/osrelease", "6.8.0-45-generic\n");
        machine.put("run/systemd/timesync/synchronized", "");
        machine.put("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        machine.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        machine.put("sys/devices/system/cpu/isolated", "1-4\n");
        machine.put("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
        for core in 0..5 {
            let file = |path: &str| format!("sys/devices/system/cpu/cpu{core}/{path}");
            machine.put(&file("cpufreq/scaling_governor"), "performance\n");
            machine.put(&file("topology/thread_siblings_list"), &format!("{core}\n"));
            for (state, latency, disabled) in [(0, 0, 0), (1, 2, 0), (2, 133, 1)] {
                machine.put(&file(&format!("cpuidle/state{state}/name")), &format!("C{state}\n"));
                let latency = format!("{latency}\n");
                machine.put(&file(&format!("cpuidle/state{state}/latency")), &latency);
                let disabled = format!("{disabled}\n");
                machine.put(&file(&format!("cpuidle/state{state}/disable")), &disabled);
            }
        }
        machine
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
    }

    fn examine(&self) -> Vec<Finding> {
        examine(&Machine::below(&self.0))
    }
}

/// What is not good after one file was changed: names and verdicts.
fn after(path: &str, text: &str) -> Vec<(&'static str, Verdict)> {
    let name: String = path.chars().map(|c| if c == '/' { '.' } else { c }).collect();
    let machine = Fixture::healthy(&format!("{name}-{}", text.len()));
    machine.put(path, text);
    let findings = machine.examine();
    for one in findings.iter().filter(|one| one.verdict != Verdict::Good) {
        assert!(!one.remedy.is_empty() && !one.value.is_empty(), "{one:?}");
    }
    let not_good = findings.iter().filter(|one| one.verdict != Verdict::Good);
    not_good.map(|one| (one.name, one.verdict)).collect()
}

#[test]
fn a_healthy_machine_has_nothing_to_complain_of() {
    let findings = Fixture::healthy("healthy").examine();
    let wrong: Vec<&Finding> = findings.iter().filter(|one| one.verdict != Verdict::Good).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(findings.len(), 19);
    assert!(is_healthy(&findings));
}

#[test]
fn each_thing_that_is_wrong_is_found_alone() {
    use Verdict::{Bad, Unknown, Warn};
    let cpu = "sys/devices/system/cpu";
    let limits = |from: &str, to: &str| LIMITS.replace(from, to);
    let flags = |flags: &str| format!("flags : {flags}\n");
    let cases: &[(&str, &str, &str, Verdict)] = &[
        ("proc/sys/kernel/osrelease", "4.19.0\n", "kernel", Warn),
        ("proc/sys/kernel/osrelease", "5.9.1\n", "kernel", Warn),
        ("proc/sys/kernel/osrelease", "plan9\n", "kernel", Unknown),
        (&format!("{cpu}/isolated"), "\n", "isolation", Warn),
        (&format!("{cpu}/isolated"), "1-2\n", "isolation", Warn),
        ("proc/cmdline", "isolcpus=1-4 nohz_full=1-4\n", "isolation", Warn),
        ("proc/cmdline", "isolcpus=1-4 nohz_full=x rcu_nocbs=1-4\n", "isolation", Warn),
        (&format!("{cpu}/cpu3/cpufreq/scaling_governor"), "powersave\n", "governor", Warn),
        (&format!("{cpu}/intel_pstate/no_turbo"), "0\n", "boost", Warn),
        (&format!("{cpu}/cpu4/cpuidle/state2/disable"), "0\n", "idle states", Warn),
        (&format!("{cpu}/cpu4/cpuidle/state2/disable"), "?\n", "idle states", Unknown),
        (&format!("{cpu}/cpu2/topology/thread_siblings_list"), "2,6\n", "siblings", Warn),
        (&format!("{cpu}/cpu2/topology/thread_siblings_list"), "two\n", "siblings", Unknown),
        ("sys/fs/cgroup/reap.slice/cpu.max", "150000 100000\n", "cpu quota", Bad),
        ("sys/fs/cgroup/reap.slice/cpu.max", "lots\n", "cpu quota", Unknown),
        (
            "proc/cpuinfo",
            &flags("constant_tsc nonstop_tsc rdtscp hypervisor"),
            "virtualisation",
            Warn,
        ),
        ("proc/cpuinfo", &flags("constant_tsc rdtscp"), "time stamp counter", Warn),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "hpet",
            "clock source",
            Bad,
        ),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "kvm-clock",
            "clock source",
            Warn,
        ),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never",
            "transparent huge pages",
            Warn,
        ),
        ("sys/kernel/mm/transparent_hugepage/enabled", "", "transparent huge pages", Unknown),
        ("proc/meminfo", "SwapTotal: 2097152 kB\n", "swap", Warn),
        ("proc/meminfo", "SwapTotal: much\n", "swap", Unknown),
        ("proc/self/limits", &limits("65536 ", "1024 "), "open files", Warn),
        ("proc/self/limits", &limits("unlimited", "65536"), "locked memory", Warn),
        ("proc/self/limits", &limits("99", "0"), "real-time priority", Warn),
        ("proc/self/limits", &limits("Max open files", "Max files"), "open files", Unknown),
        ("proc/sys/net/core/busy_read", "0\n", "busy polling", Warn),
        ("proc/sys/net/core/busy_poll", "-\n", "busy polling", Unknown),
        ("proc/sys/net/core/rmem_max", "212992\n", "socket buffers", Warn),
        ("proc/sys/net/core/wmem_max", "212992\n", "socket buffers", Warn),
    ];
    for (path, text, name, verdict) in cases {
        assert_eq!(after(path, text), [(*name, *verdict)], "{path}: {text}");
    }
}

#[test]
fn the_number_of_cores_decides_the_layout() {
    let judged = |list: &str| {
        let found = after("proc/self/status", &format!("Cpus_allowed_list: {list}\n"));
        found.into_iter().find(|(name, _)| *name == "cores").map(|(_, verdict)| verdict)
    };
    assert_eq!(judged("2"), Some(Verdict::Bad));
    assert_eq!(judged("1-2"), Some(Verdict::Warn));
    assert_eq!(judged("1-4"), None);
    assert_eq!(judged("four"), Some(Verdict::Unknown));
}

#[test]
fn what_matters_makes_a_machine_unfit() {
    for (name, path, text, fit) in [
        ("swap", "proc/meminfo", "SwapTotal: 5000 kB", true),
        ("stop", "proc/cpuinfo", "flags : constant_tsc rdtscp", false),
        ("quota", "sys/fs/cgroup/reap.slice/cpu.max", "1 2", false),
        (
            "source",
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "acpi_pm",
            false,
        ),
    ] {
        let machine = Fixture::healthy(name);
        machine.put(path, text);
        assert_eq!(is_healthy(&machine.examine()), fit, "{name}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_nothing_else() {
    let machine = Fixture::healthy("hidden");
    let good = machine.examine();
    for path in ["run", "sys", "proc"] {
        machine.remove(path);
        let findings = machine.examine();
        assert!(!is_healthy(&findings) || path == "run");
        // Nothing is good that was not read.
        let all_gone = path == "proc";
        assert!(!all_gone || findings.iter().all(|one| one.verdict == Verdict::Unknown));
    }
    assert!(is_healthy(&good));
    assert!(machine.examine().iter().all(|one| !one.remedy.is_empty()));
}

#[test]
fn every_time_service_is_named_and_none_is_said_to_be_in_time() {
    let machine = Fixture::healthy("time");
    let found = |machine: &Fixture| {
        machine.examine().into_iter().find(|one| one.name == "system clock").unwrap()
    };
    machine.remove("run/systemd");
    assert_eq!(found(&machine).verdict, Verdict::Unknown);
    assert!(found(&machine).remedy.contains("run chronyd"));
    machine.put("run/chrony/chronyd.pid", "1");
    assert_eq!(found(&machine).verdict, Verdict::Unknown);
    assert!(found(&machine).remedy.contains("chronyc tracking"));
}

#[test]
fn quotas_of_both_kinds_of_groups_are_found() {
    let verdict = |machine: &Fixture| {
        machine.examine().into_iter().find(|one| one.name == "cpu quota").unwrap().verdict
    };
    let machine = Fixture::healthy("groups");
    machine.remove("sys/fs/cgroup");
    assert_eq!(verdict(&machine), Verdict::Unknown);
    // A container may see itself at the top: only the controllers tell the machine's own group.
    machine.put("proc/self/cgroup", "0::/\n");
    assert_eq!(verdict(&machine), Verdict::Unknown);
    machine.put("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    assert_eq!(verdict(&machine), Verdict::Good);
    machine.put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_eq!(verdict(&machine), Verdict::Bad);
    machine.put("proc/self/cgroup", "0::/a/b\n");
    machine.put("sys/fs/cgroup/cpu.max", "max 100000\n");
    machine.put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_eq!(verdict(&machine), Verdict::Good);
    machine.put("sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    assert_eq!(verdict(&machine), Verdict::Bad);
    machine.remove("sys/fs/cgroup");
    machine.put("proc/self/cgroup", "4:cpu,cpuacct:/box\n0::/\n");
    machine.put("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    assert_eq!(verdict(&machine), Verdict::Good);
    machine.put("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n");
    assert_eq!(verdict(&machine), Verdict::Bad);
    machine.put("proc/cpu.max", "max");
    // A group's path is the system's word, and still does not leave the folder of groups.
    machine.put("proc/self/cgroup", "0::/../../proc\n");
    machine.remove("sys/fs/cgroup");
    assert_eq!(verdict(&machine), Verdict::Unknown);
}

#[test]
fn a_report_is_one_object_and_says_each_remedy_once() {
    let mut report = Report { findings: Fixture::healthy("report").examine(), ..Report::default() };
    let jitter = Jitter { core: 1, largest: 3_000_000, p999: 30, lost_ppm: 5 };
    report.findings.extend([jitter.finding(), Jitter { core: 2, ..jitter }.finding()]);
    report.jitter.push(jitter);
    let json = report.to_json(false);
    assert_eq!(json["healthy"], false);
    assert_eq!(json["jitter"][0]["largest_ns"], 3_000_000);
    assert_eq!(json["findings"][0]["name"], "cores");
    assert_eq!(json["hand_off"], Value::Null);
    let text = report.to_text(false).join("\n");
    assert_eq!(text.matches("jitter [must]: isolate the core").count(), 1, "{text}");
    assert!(text.ends_with("not fit to run pinned: 19 good, 0 to improve, 2 bad, 0 unknown"));
}
