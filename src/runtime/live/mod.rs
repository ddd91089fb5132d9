//! A link as an application holds it: one driver task, and handles that publish, ask, command and
//! listen through it. The machine behind them is `crate::link`, under one lock.
//!
//! ```text
//!   Link, Publish, Request ─┐                        ┌─► Subscription, Responses, Context
//!   Subscription, Message ──┴─► Shared { Machine } ◄─┴─ driver ◄─► transport, road
//!                                     bell ──────────────► driver
//! ```

mod bell;
mod body;
mod channels;
mod command;
mod dispatch;
mod driver;
mod link;
mod news;
mod publish;
mod request;
mod road;
mod serve;
mod settings;
mod shared;
mod subscription;

pub use self::body::{Body, FromPayload, IntoPayload};
pub use self::command::{Command, CommandBuilder};
pub use self::link::{DeadLetter, Link};
pub use self::news::{Level, LinkEvent, LinkState, Recovery};
pub use self::publish::{Publish, Receipt};
pub use self::request::{Request, Responses};
pub use self::serve::{Context, Handler, IntoAnswer};
pub use self::settings::{LinkOptions, Overflow};
pub use self::subscription::{Message, Subscribe, Subscription};

pub(crate) use self::channels::Channels;
pub(crate) use self::driver::{Driver, Fresh};
pub(crate) use self::road::{Loss, Road, Stands};
pub(crate) use self::serve::Serving;
pub(crate) use self::shared::{Observer, Parts, Seen, Shared, Sides, fresh_link, kept_link};
pub(crate) use self::subscription::{Answered, Ending, Inbox, listen};
