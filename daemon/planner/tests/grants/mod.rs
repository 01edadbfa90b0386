//! Users and ACLs around the life of a connector whose role is enforced.

use crate::toy::{Spec, Toy};
use crate::{PASSES, check};
use runnel_api::{OperationKind, Outcome};
use runnel_planner::Life;

fn enforced(grants: &'static str) -> Spec {
    Spec {
        grants: Some(grants),
        ..Spec::new("config-1")
    }
}

#[test]
fn user_and_acls_come_before_the_workers_and_go_after_them() {
    let mut toy = Toy::new();
    toy.put(enforced("acls-1"));
    toy.run(PASSES);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Succeeded)]);
    toy.say("the role changes");
    toy.specs.get_mut(&1).unwrap().grants = Some("acls-2");
    toy.run(PASSES);
    toy.say("a minute goes by");
    let before = toy.count("grant (wanted)");
    toy.run_for(61_000);
    assert!(toy.count("grant (wanted)") >= before + 3, "{}", toy.text);
    toy.life = Life::DeleteAll;
    toy.open(OperationKind::Delete);
    toy.run(PASSES);
    assert!(toy.gone);
    check("grants", &toy);
}

#[test]
fn a_connector_runs_on_while_its_acls_cannot_be_looked_at_but_none_is_made_without() {
    let mut toy = Toy::new();
    toy.put(enforced("acls-1"));
    toy.run(PASSES);
    toy.kafka(false);
    toy.run_for(40_000);
    assert_eq!(toy.count("StopWorker") + toy.count("stop worker"), 0);
    toy.kafka(true);
    toy.run_for(10_000);
    check("grants-kafka-away", &toy);

    let mut toy = Toy::new();
    toy.kafka(false);
    toy.put(enforced("acls-1"));
    toy.run_for(120_000);
    assert!(toy.gone, "{}", toy.text);
    assert_eq!(toy.count("start worker"), 0);
    assert_eq!(toy.ended, [(OperationKind::Create, Outcome::Failed)]);
}
