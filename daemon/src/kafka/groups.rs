//! Groups, at their coordinator: described, left on behalf of a dead member, deleted.

use super::admin::{KafkaAdmin, Pause, refusal, text};
use super::call::Call;
use super::connection::Deadline;
use super::error::{Code, KafkaError, Server};
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, LeaveGroupRequest,
};

/// A group as the key of `FindCoordinator` (KIP-98).
pub(super) const GROUP: i8 = 0;

/// The state of a group, as its coordinator says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members; offsets may be kept.
    Empty,
    /// Members are joining.
    PreparingRebalance,
    /// The leader is assigning work.
    CompletingRebalance,
    /// Work is assigned.
    Stable,
    /// There is no such group.
    Dead,
    /// A state of a later Kafka.
    Other(String),
}

impl GroupState {
    fn of(text: &str) -> Self {
        match text {
            "Empty" => Self::Empty,
            "PreparingRebalance" => Self::PreparingRebalance,
            "CompletingRebalance" => Self::CompletingRebalance,
            "Stable" => Self::Stable,
            "Dead" => Self::Dead,
            _ => Self::Other(text.to_owned()),
        }
    }
}

/// A member of a group. A Connect worker is one, with client id `connect-…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Given by the coordinator at joining; [`KafkaAdmin::leave_group`] wants it.
    pub member_id: String,
    /// The member's `client.id`.
    pub client_id: String,
    /// Its address, as `/127.0.0.1`.
    pub host: String,
}

/// What [`KafkaAdmin::describe_group`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its state; [`GroupState::Dead`] if there is none.
    pub state: GroupState,
    /// Its members.
    pub members: Vec<Member>,
}

/// What became of a member that shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It was a member and is one no more.
    Left,
    /// It was none.
    NotAMember,
}

/// What became of a group that shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupDeletion {
    /// It is gone, its offsets too.
    Deleted,
    /// There was none.
    Missing,
}

impl KafkaAdmin {
    /// State and members of a group.
    pub async fn describe_group(&mut self, group: &str) -> Result<Group, KafkaError> {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        let (_, answer) = self
            .at_coordinator(group, &request, |answer| {
                answer.groups.first().map(|group| group.error_code)
            })
            .await?;
        // `at_coordinator` has seen that there is one.
        Ok(answer.groups.first().map_or(
            Group {
                state: GroupState::Dead,
                members: Vec::new(),
            },
            group_of,
        ))
    }

    /// Takes a member that is proven dead out of its group, so that the others need not wait for
    /// its session to end. Doing this to a live member makes it join again.
    pub async fn leave_group(&mut self, group: &str, member_id: &str) -> Result<Leave, KafkaError> {
        let request = LeaveGroupRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_member_id(text(member_id));
        let (server, answer) = self
            .at_coordinator(group, &request, |answer| Some(answer.error_code))
            .await?;
        if matches!(
            Code::of(answer.error_code),
            Some(Code::UNKNOWN_MEMBER | Code::GROUP_NOT_FOUND)
        ) {
            return Ok(Leave::NotAMember);
        }
        refusal(
            &server,
            LeaveGroupRequest::NAME,
            &format!("group {group}"),
            answer.error_code,
            None,
        )?;
        Ok(Leave::Left)
    }

    /// Deletes a group with its offsets; one that is not there is success.
    ///
    /// # Errors
    /// A group that has members is refused.
    pub async fn delete_group(&mut self, group: &str) -> Result<GroupDeletion, KafkaError> {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text(group))]);
        let (server, answer) = self
            .at_coordinator(group, &request, |answer| {
                answer.results.first().map(|result| result.error_code)
            })
            .await?;
        let code = answer.results.first().map_or(0, |result| result.error_code);
        if Code::of(code) == Some(Code::GROUP_NOT_FOUND) {
            return Ok(GroupDeletion::Missing);
        }
        refusal(
            &server,
            DeleteGroupsRequest::NAME,
            &format!("group {group}"),
            code,
            None,
        )?;
        Ok(GroupDeletion::Deleted)
    }

    /// Finds the coordinator and asks it, again while it moves. `code` reads the answer's error code;
    /// an answer without the group has none.
    pub(super) async fn at_coordinator<C: Call>(
        &mut self,
        group: &str,
        request: &C,
        code: fn(&C::Response) -> Option<i16>,
    ) -> Result<(Server, C::Response), KafkaError> {
        let deadline = self.deadline();
        let mut pause = Pause::until(deadline);
        loop {
            let server = self.coordinator(group, deadline, &mut pause).await?;
            let answer = self.ask(&server, request, deadline).await?;
            let Some(code) = code(&answer) else {
                return Err(KafkaError::LeftOut {
                    server,
                    call: C::NAME,
                    subject: format!("group {group}"),
                });
            };
            let Some(moving) = Code::of(code).filter(|code| code.is_coordinator_moving()) else {
                return Ok((server, answer));
            };
            if !pause.once_more().await {
                return Err(KafkaError::refused(
                    &server,
                    C::NAME,
                    format!("group {group}"),
                    moving,
                    None,
                ));
            }
        }
    }

    async fn coordinator(
        &mut self,
        group: &str,
        deadline: Deadline,
        pause: &mut Pause,
    ) -> Result<Server, KafkaError> {
        let request = FindCoordinatorRequest::default()
            .with_key(text(group))
            .with_key_type(GROUP);
        let call = FindCoordinatorRequest::NAME;
        loop {
            let (asked, answer) = self.ask_any(&request, deadline).await?;
            let subject = format!("group {group}");
            match Code::of(answer.error_code) {
                None => {
                    let Ok(port) = u16::try_from(answer.port) else {
                        return Err(KafkaError::LeftOut {
                            server: asked,
                            call,
                            subject,
                        });
                    };
                    return Ok(Server {
                        host: answer.host.to_string(),
                        port,
                    });
                }
                Some(code) if code.is_coordinator_moving() && pause.once_more().await => {}
                Some(code) => {
                    let text = answer.error_message.as_deref();
                    return Err(KafkaError::refused(&asked, call, subject, code, text));
                }
            }
        }
    }
}

fn group_of(group: &DescribedGroup) -> Group {
    let members = group.members.iter().map(|member| Member {
        member_id: member.member_id.to_string(),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
    });
    // A missing group is state "Dead" in the version we speak, and code 69 in later ones.
    Group {
        state: GroupState::of(&group.group_state),
        members: members.collect(),
    }
}
