//! Members move on as their instances do.

use super::{Planner, Step};
use model::autoscaling::LifecycleState as L;
use model::instance::InstanceState;

impl Planner<'_> {
    pub(super) fn members(&mut self) {
        for member in &self.group.instances {
            let Some(fact) = self.facts.get(&member.id) else {
                continue;
            };
            match (member.lifecycle, fact.state) {
                (L::Pending, Some(InstanceState::Running)) => {
                    self.steps.push(Step::EnterService(member.id.clone()))
                }
                (
                    L::Pending,
                    None | Some(InstanceState::Terminated | InstanceState::ShuttingDown),
                ) => {
                    self.steps.push(Step::LaunchFailed(member.id.clone()));
                }
                (L::InService, Some(_)) if !self.suspended("AddToLoadBalancer") => {
                    for target_group in &self.group.target_groups {
                        if !fact.registered_in.contains(target_group)
                            && !fact.draining_in.contains(target_group)
                            && fact.state == Some(InstanceState::Running)
                        {
                            self.steps.push(Step::Register {
                                id: member.id.clone(),
                                target_group: target_group.clone(),
                            });
                        }
                    }
                }
                (L::Terminating, None | Some(InstanceState::Terminated)) => {
                    self.steps.push(Step::Leave(member.id.clone()))
                }
                (L::Terminating, Some(state)) => {
                    let ending = matches!(state, InstanceState::ShuttingDown);
                    if !ending && fact.registered_in.is_empty() && fact.draining_in.is_empty() {
                        self.steps.push(Step::End(member.id.clone()));
                    }
                }
                _ => {}
            }
        }
    }
}
