"""What the notifier sends at a time is what our own brokers are told to take."""

from deploy.broker_config import BrokerLimits
from services.notifier.atomic import BATCH_MAX_MESSAGES


def test_our_own_brokers_take_the_largest_batches_that_the_notifier_makes() -> None:
    assert BrokerLimits().batch_max_messages == BATCH_MAX_MESSAGES
