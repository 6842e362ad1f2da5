"""A campaign trains many candidates into one store, by any number of processes that may die at any moment.

The store alone knows what is done; a campaign keeps no list of its own. So whoever is killed, wherever, the next call
goes on with what is missing, and the result does not depend on the number of workers, their order, or their deaths.
"""

from nap2.stages.campaign.local import run_local_campaign
from nap2.stages.campaign.plan import plan_campaign
from nap2.stages.campaign.released import refuse_unread, without_released
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.summary import CampaignSummary
from nap2.stages.campaign.worker import run_worker

__all__ = [
    "CampaignSummary",
    "StopFlag",
    "plan_campaign",
    "refuse_unread",
    "run_local_campaign",
    "run_worker",
    "without_released",
]
