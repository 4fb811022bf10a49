//! The user: somebody with a name that is nobody else's.
//!
//! Every command becomes one event, [`UserCommand::event`]; the decision is whether the user allows it now. That the name is
//! free is not the user's to decide: it claims the name, and the store sees to it that nobody else holds it.

use headwater::{Aggregate, Claim};
use serde::{Deserialize, Serialize};

use crate::id::Username;

/// What a user remembers of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    status: UserStatus,
    username: Option<Username>,
}

/// Where a user is in their life with the bank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// They never registered.
    #[default]
    NotRegistered,
    /// They have a name.
    Registered,
    /// They left, and gave their name up.
    Closed,
}

/// What a user asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserCommand {
    /// Begin, under this name.
    Register {
        /// The name.
        username: Username,
    },
    /// Have another name.
    Rename {
        /// The new one.
        username: Username,
    },
    /// End.
    Close,
}

/// What happened to a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserEvent {
    /// They began.
    Registered {
        /// Their name.
        username: Username,
    },
    /// They have another name.
    Renamed {
        /// The new one.
        username: Username,
    },
    /// They left.
    Closed,
}

/// Why a user may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserRejection {
    /// They registered before.
    #[error("the user registered before")]
    AlreadyRegistered,
    /// They never registered.
    #[error("there is no such user")]
    NotRegistered,
    /// They left.
    #[error("the user has left")]
    Closed,
}

impl UserCommand {
    /// What happens if the user allows it.
    pub fn event(&self) -> UserEvent {
        match self.clone() {
            Self::Register { username } => UserEvent::Registered { username },
            Self::Rename { username } => UserEvent::Renamed { username },
            Self::Close => UserEvent::Closed,
        }
    }
}

impl User {
    /// The set of the claims to usernames.
    pub const USERNAMES: &'static str = "username";

    /// Where they are in their life with the bank.
    pub fn status(&self) -> UserStatus {
        self.status
    }

    /// Their name, as they write it; the last one, if they have left.
    pub fn username(&self) -> Option<&Username> {
        self.username.as_ref()
    }

    /// The claim to a name, whatever its case.
    pub fn claim(username: &Username) -> Claim {
        Claim::new(Self::USERNAMES, username.folded())
    }
}

impl Aggregate for User {
    const KIND: &'static str = "user";

    type Command = UserCommand;
    type Event = UserEvent;
    type Rejection = UserRejection;

    fn decide(&self, command: &UserCommand) -> Result<Vec<UserEvent>, UserRejection> {
        match (self.status, command) {
            (UserStatus::NotRegistered, UserCommand::Register { .. }) => {}
            (_, UserCommand::Register { .. }) => return Err(UserRejection::AlreadyRegistered),
            (UserStatus::NotRegistered, _) => return Err(UserRejection::NotRegistered),
            (UserStatus::Closed, _) => return Err(UserRejection::Closed),
            (UserStatus::Registered, UserCommand::Rename { username })
                if self.username.as_ref() == Some(username) =>
            {
                return Ok(vec![]);
            }
            (UserStatus::Registered, UserCommand::Rename { .. } | UserCommand::Close) => {}
        }
        Ok(vec![command.event()])
    }

    fn evolve(&mut self, event: &UserEvent) {
        match event {
            UserEvent::Registered { username } => {
                self.status = UserStatus::Registered;
                self.username = Some(username.clone());
            }
            UserEvent::Renamed { username } => self.username = Some(username.clone()),
            UserEvent::Closed => self.status = UserStatus::Closed,
        }
    }

    fn claims(&self) -> Vec<Claim> {
        let registered = self.username.iter().filter(|_| self.status == UserStatus::Registered);
        registered.map(Self::claim).collect()
    }
}

#[cfg(test)]
mod tests {
    use headwater::given::{given, golden};

    use super::*;

    fn name(text: &str) -> Username {
        text.parse().expect("a username")
    }

    fn registered(text: &str) -> UserEvent {
        UserEvent::Registered { username: name(text) }
    }

    #[test]
    fn golden_events_of_every_schema_mean_what_they_meant() {
        golden::<User>([
            (include_str!("../tests/golden/user/Registered.1.json"), registered("Ann")),
            (
                include_str!("../tests/golden/user/Renamed.1.json"),
                UserEvent::Renamed { username: name("bob") },
            ),
            (include_str!("../tests/golden/user/Closed.1.json"), UserEvent::Closed),
        ]);
    }

    #[test]
    fn a_user_registers_once() {
        let register = || UserCommand::Register { username: name("ann") };
        given::<User>([]).when(register()).then([registered("ann")]);
        for past in [vec![registered("ann")], vec![registered("ann"), UserEvent::Closed]] {
            given::<User>(past)
                .when(register())
                .then_rejected(|why| *why == UserRejection::AlreadyRegistered);
        }
    }

    #[test]
    fn a_name_is_claimed_whatever_its_case_and_given_up_in_the_end() {
        let claims = |user: &User| user.claims().iter().map(ToString::to_string).collect::<Vec<_>>();
        given::<User>([registered("Ann")])
            .when(UserCommand::Rename { username: name("ANN") })
            .then([UserEvent::Renamed { username: name("ANN") }])
            .then_state(|user| assert_eq!(claims(user), ["username ann"]));
        given::<User>([registered("ann")])
            .when(UserCommand::Rename { username: name("bob") })
            .then([UserEvent::Renamed { username: name("bob") }])
            .then_state(|user| assert_eq!(claims(user), ["username bob"]));
        given::<User>([registered("ann")])
            .when(UserCommand::Close)
            .then([UserEvent::Closed])
            .then_state(|user| assert!(claims(user).is_empty()));
    }

    #[test]
    fn the_same_name_again_changes_nothing_and_strangers_are_refused() {
        given::<User>([registered("ann")]).when(UserCommand::Rename { username: name("ann") }).then([]);
        for command in [UserCommand::Rename { username: name("bob") }, UserCommand::Close] {
            given::<User>([]).when(command.clone()).then_rejected(|why| *why == UserRejection::NotRegistered);
            given::<User>([registered("ann"), UserEvent::Closed])
                .when(command)
                .then_rejected(|why| *why == UserRejection::Closed);
        }
    }
}
