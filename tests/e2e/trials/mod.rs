//! The trials, by what they show.

mod canaries;
mod change;
mod examples;
mod exploits;
mod flow;
mod host;
mod kills;
mod logs;
mod metrics;
mod positions;
mod probe_matrix;
mod refusals;
mod roles;
mod rolls;
mod scaling;
mod secrets;
mod seed;
mod side_by_side;
mod sinks;
mod sleeping;
mod supervision;
mod upgrade;
mod verdicts;
mod ways_in;

use e2e::world::TrialFn;

/// A trial that starts what it needs and nothing else.
pub type AloneFn = fn() -> anyhow::Result<()>;

/// Trials that need no daemon.
pub const ALONE: &[(&str, AloneFn)] = &[(
    "the_broker_lets_a_principal_do_what_its_acls_say_and_no_more",
    probe_matrix::by_hand,
)];

/// Every trial with its name, in the order in which they run.
pub const ALL: &[(&str, TrialFn)] = &[
    ("the_doctor_finds_nothing_to_treat", refusals::doctor),
    (
        "archives_that_are_unsafe_or_empty_are_refused_at_plan",
        refusals::archives,
    ),
    (
        "policies_that_no_broker_can_enforce_are_refused_at_plan",
        refusals::policies,
    ),
    (
        "configurations_that_attack_the_host_are_refused_at_plan",
        exploits::at_plan,
    ),
    (
        "each_way_of_not_reaching_the_daemon_has_one_clear_error",
        refusals::daemon_out_of_reach,
    ),
    (
        "a_connector_made_before_its_database_picks_it_up",
        seed::before_its_database,
    ),
    ("a_password_leaves_no_trace", secrets::no_trace),
    (
        "a_wrong_password_fails_the_apply_and_leaves_nothing",
        secrets::wrong_password,
    ),
    (
        "another_key_restarts_nothing_and_another_password_reaches_the_tasks",
        secrets::rotated,
    ),
    (
        "an_edit_changes_in_place_and_keeps_the_position",
        change::in_place,
    ),
    (
        "a_change_that_starts_no_task_is_rolled_back",
        change::rolled_back,
    ),
    ("a_restart_brings_the_connector_back", change::restart),
    (
        "a_broken_plugin_is_rolled_back_by_itself",
        change::broken_plugin,
    ),
    (
        "a_killed_worker_is_replaced_and_no_row_is_lost",
        kills::worker,
    ),
    (
        "the_checker_passes_a_killed_worker_and_finds_a_filter",
        verdicts::kill_and_filter,
    ),
    ("a_killed_daemon_adopts_its_workers", kills::daemon),
    (
        "a_killed_terraform_leaves_something_to_import",
        kills::terraform,
    ),
    (
        "a_connector_may_do_what_its_policy_says_and_no_more",
        probe_matrix::of_a_connector,
    ),
    (
        "a_newer_build_of_the_daemon_takes_over_what_runs",
        upgrade::newer_build,
    ),
    (
        "a_destroy_without_kafka_ends_with_a_warning",
        kills::kafka_away,
    ),
    (
        "a_database_that_stops_is_said_and_events_go_on_after_it",
        supervision::source_away,
    ),
    (
        "kafka_away_for_a_while_is_said_and_nothing_is_killed_or_lost",
        supervision::kafka_away_for_a_while,
    ),
    (
        "a_frozen_worker_is_replaced_and_no_row_is_lost",
        supervision::frozen_worker,
    ),
    (
        "a_password_changed_behind_a_connector_is_said_without_a_storm",
        supervision::password_changed_behind,
    ),
    (
        "a_daemon_that_was_frozen_holds_nothing_against_its_workers",
        sleeping::frozen_daemon,
    ),
    (
        "a_sink_that_stands_still_is_said_and_goes_on_by_itself",
        sinks::stands_still,
    ),
    (
        "another_worker_configuration_rolls_and_a_bad_one_rolls_back",
        rolls::worker_configuration,
    ),
    (
        "a_worker_killed_right_after_its_create_tells_every_change",
        positions::killed_after_create,
    ),
    (
        "a_restart_is_about_one_task_or_one_worker",
        supervision::restart_of_a_part,
    ),
    (
        "metrics_tell_what_happens_and_never_count_back",
        metrics::scrape,
    ),
    (
        "a_source_and_a_sink_run_side_by_side",
        side_by_side::source_and_sink,
    ),
    (
        "a_busy_mirror_gets_three_workers_and_gives_two_back",
        scaling::horizontal,
    ),
    (
        "a_busy_debezium_gets_a_bigger_worker_and_gives_it_back",
        scaling::vertical,
    ),
    (
        "logs_are_chosen_followed_and_delivered",
        logs::read_and_delivered,
    ),
    (
        "a_full_host_is_a_plan_error_and_starts_are_staggered",
        host::full,
    ),
    (
        "the_seed_runs_under_its_role_on_a_secured_cluster",
        roles::seed_under_its_role,
    ),
    (
        "a_cluster_that_does_not_let_us_in_is_an_error_at_plan",
        roles::shut_clusters,
    ),
    (
        "the_way_in_by_certificate_serves_worker_and_history",
        ways_in::certificate,
    ),
    (
        "the_way_in_by_a_user_goes_on_after_a_new_password",
        ways_in::own_user,
    ),
    (
        "the_way_in_of_an_admin_changes_without_a_restart",
        ways_in::admin_password,
    ),
    (
        "the_way_in_by_iam_is_an_error_where_nobody_knows_it",
        ways_in::msk_iam,
    ),
    (
        "no_secret_stands_anywhere_but_at_home_on_a_secured_cluster",
        canaries::everywhere,
    ),
    ("the_quickstart_applies_and_captures", examples::quickstart),
];
