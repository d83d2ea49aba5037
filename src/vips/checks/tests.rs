use super::*;
use crate::config::plan::ProbePlan;
use std::time::{Duration, SystemTime};

const MINUTE: Duration = Duration::from_secs(60);

fn plan(interval: u64, fall: u32) -> VipPlan {
    let check = CheckPlan {
        probe: ProbePlan::Tcp(([127, 0, 0, 1], 6443).into()),
        interval: Duration::from_secs(interval),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall,
    };
    VipPlan { networks: Vec::new(), pool: None, bind: true, check: Some(check) }
}

fn checked(ok: bool) -> Checked {
    Checked { at: SystemTime::UNIX_EPOCH, ok, message: String::new() }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to one")]
fn start() -> Instant {
    Instant::now()
}

fn services(plans: &[(&str, VipPlan)]) -> BTreeMap<String, VipPlan> {
    plans.iter().map(|(name, plan)| ((*name).to_owned(), plan.clone())).collect()
}

/// The names of the services whose checks begin now, with their numbers.
fn begin(checks: &mut Checks, now: Instant) -> Vec<(String, u64)> {
    std::iter::from_fn(|| checks.poll_try(now)).map(|one| (one.service, one.number)).collect()
}

fn healthy(checks: &Checks) -> Vec<&str> {
    checks.services().filter(|(_, entry)| entry.is_healthy()).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn checks_are_due_at_even_distances_and_one_at_a_time() {
    let (start, mut checks) = (start(), Checks::default());
    let at = |millis: u64| start + Duration::from_millis(millis);
    checks.handle_plan(&services(&[("a", plan(2, 2)), ("b", plan(5, 2))]), at(0));
    assert_eq!(begin(&mut checks, at(0)), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!((begin(&mut checks, at(10_000)), checks.poll_timeout()), (vec![], None), "both are under way");
    assert!(checks.handle_result("a", 1, checked(true)));
    assert_eq!(checks.poll_timeout(), Some(at(2000)), "however long it took");
    assert_eq!(begin(&mut checks, at(2100)), [("a".to_owned(), 3)]);
    assert!(!checks.handle_result("a", 3, checked(true)));
    assert_eq!(checks.poll_timeout(), Some(at(4000)), "that one was late, the next is not");
    assert_eq!(begin(&mut checks, at(9500)), [("a".to_owned(), 4)]);
    assert!(!checks.handle_result("a", 4, checked(true)));
    assert_eq!(checks.poll_timeout(), Some(at(11_500)), "lost time is not made up for");
}

#[test]
fn results_decide_and_late_ones_of_another_check_do_not() {
    let (start, mut checks) = (start(), Checks::default());
    checks.handle_plan(&services(&[("a", plan(1, 2)), ("always", VipPlan { check: None, ..plan(1, 1) })]), start);
    assert_eq!((healthy(&checks), checks.are_settled()), (vec!["always"], false), "nothing is known yet");
    let [(_, first)] = begin(&mut checks, start)[..] else { panic!("one check") };
    assert!(checks.handle_result("a", first, checked(true)) && checks.are_settled());
    assert_eq!(healthy(&checks), ["a", "always"]);
    let [(_, second)] = begin(&mut checks, start + MINUTE)[..] else { panic!("one check") };
    checks.handle_plan(&services(&[("a", plan(1, 1))]), start + MINUTE);
    assert_eq!(healthy(&checks), ["a"], "another check begins with the opinion of the former one");
    assert!(!checks.handle_result("a", second, checked(false)), "that was another check");
    let [(_, third)] = begin(&mut checks, start + MINUTE)[..] else { panic!("it begins at once") };
    assert!(checks.handle_result("a", third, checked(false)));
    assert_eq!(healthy(&checks), Vec::<&str>::new());
    assert_eq!(checks.services().map(|(_, entry)| entry.counts).collect::<Vec<_>>(), [[1, 1]]);
    checks.handle_plan(&BTreeMap::new(), start + MINUTE);
    assert!(!checks.handle_result("a", third, checked(true)) && checks.poll_timeout().is_none());
}
