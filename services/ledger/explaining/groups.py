"""Explanations of the market, its offers, groups, seats and refunds."""

from typing import Final

from services.ledger.explaining.words import Explanation as Told

DECISIONS: Final = {
    "market.set": Told("2", "The market's configuration was put in force.", "市场配置已生效。"),
    "market.restored": Told(
        "2",
        "After a loss of storage the market went on from where its ledger ended.",
        "存储丢失后，市场从账本的末尾继续运行。",
    ),
    "offer.listed": Told(
        "3", "Offer {offer} is {status} (edition {edition}).", "商品 {offer} 状态为 {status}（第 {edition} 版）。"
    ),
    "group.opened": Told(
        "4.7",
        "A group ({group}) was opened for order {order}; it has until {deadline} to fill.",
        "已为订单 {order} 开团（{group}），截止时间为 {deadline}。",
    ),
    "seat.held": Told(
        "4.7",
        "A seat in group {group} is held for order {order} until {hold_until}, against payment of {payable_minor}.",
        "已在团 {group} 中为订单 {order} 保留名额至 {hold_until}，应付 {payable_minor}。",
    ),
    "seat.confirmed": Told(
        "4.7 and 6",
        "Order {order} has a confirmed seat in group {group} for {payable_minor}.",
        "订单 {order} 在团 {group} 中的名额已确认，金额 {payable_minor}。",
    ),
    "seat.released": Told(
        "6", "Order {order} no longer has a seat in group {group}.", "订单 {order} 已不在团 {group} 中。"
    ),
    "seat.released/hold_ended": Told(
        "6, a hold's end",
        "Order {order} lost its seat in group {group}: no payment had come when the time for it was over.",
        "订单 {order} 失去了团 {group} 中的名额：保留时间结束时未收到付款。",
    ),
    "seat.released/withdrawn": Told(
        "6, order.withdrawn", "Order {order} left group {group} at its own wish.", "订单 {order} 主动退出了团 {group}。"
    ),
    "seat.released/cancelled": Told(
        "6, order.cancelled", "Order {order} in group {group} was cancelled.", "团 {group} 中的订单 {order} 已取消。"
    ),
    "seat.released/released": Told(
        "6, order.released",
        "Customer service took order {order} out of group {group}.",
        "客服已将订单 {order} 移出团 {group}。",
    ),
    "seat.released/late_payment": Told(
        "6, order.paid",
        "The payment of order {order} came after the time for it was over, so its seat in group {group} was given up.",
        "订单 {order} 的付款晚于保留时间，团 {group} 中的名额已释放。",
    ),
    "group.merged": Told(
        "7", "Group {group} joined group {into} so that both could fill.", "团 {group} 已并入团 {into}，共同成团。"
    ),
    "group.filled": Told(
        "6", "Group {group} is full: the group price holds for everybody in it.", "团 {group} 已成团，成员均享团价。"
    ),
    "group.filled/target": Told(
        "4.7",
        "Group {group} reached its size: the group price holds for everybody in it.",
        "团 {group} 已达到成团人数，成员均享团价。",
    ),
    "group.filled/deadline": Told(
        "6, a group's deadline",
        "At its deadline enough seats of group {group} were confirmed: the group price holds for everybody in it.",
        "截止时团 {group} 已确认的名额足够，成员均享团价。",
    ),
    "group.filled/merge": Told(
        "7",
        "Other groups joined group {group} and filled it: the group price holds for everybody in it.",
        "其他团并入后团 {group} 成团，成员均享团价。",
    ),
    "group.filled/completed": Told(
        "6, group.completed",
        "Customer service completed group {group}: the group price holds for everybody in it.",
        "客服已将团 {group} 补成团，成员均享团价。",
    ),
    "group.expired": Told(
        "6, a group's deadline",
        "Group {group} did not fill before its deadline. Whatever was paid for it is paid back.",
        "团 {group} 在截止前未成团，已付款项将全部退还。",
    ),
    "group.dissolved": Told(
        "6",
        "Group {group} ended without filling. Whatever was paid for it is paid back.",
        "团 {group} 未成团而结束，已付款项将全部退还。",
    ),
    "group.dissolved/customer_service": Told(
        "6, group.dissolved",
        "Customer service dissolved group {group}. Whatever was paid for it is paid back.",
        "客服已解散团 {group}，已付款项将全部退还。",
    ),
    "group.dissolved/leader_left": Told(
        "6, order.withdrawn",
        "The leader of group {group} left, which ends a group of this offer. Whatever was paid is paid back.",
        "团 {group} 的团长退出，按该商品规则团随之结束，已付款项将全部退还。",
    ),
    "group.dissolved/empty": Told(
        "6, order.withdrawn",
        "The last seat of group {group} was given up, so it ended.",
        "团 {group} 的最后一个名额已退出，团随之结束。",
    ),
    "group.dissolved/offer_withdrawn": Told(
        "3",
        "The offer of group {group} was taken down. Whatever was paid for it is paid back.",
        "团 {group} 的商品已下架，已付款项将全部退还。",
    ),
    "refund.due": Told(
        "6", "{amount_minor} of payment {payment} is owed back.", "付款 {payment} 应退 {amount_minor}。"
    ),
    "refund.due/expired": Told(
        "6",
        "Group {group} did not fill, so {amount_minor} of payment {payment} is owed back.",
        "团 {group} 未成团，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/dissolved": Told(
        "6",
        "Group {group} was dissolved, so {amount_minor} of payment {payment} is owed back.",
        "团 {group} 已解散，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/withdrawn": Told(
        "6, order.withdrawn",
        "Order {order} left its group, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 已退团，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/cancelled": Told(
        "6, order.cancelled",
        "Order {order} was cancelled, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 已取消，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/released": Told(
        "6, order.released",
        "Customer service released order {order}, so {amount_minor} of payment {payment} is owed back.",
        "客服已释放订单 {order}，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/late_payment": Told(
        "6, order.paid",
        "Payment {payment} came after the time for it was over, so {amount_minor} is owed back.",
        "付款 {payment} 晚于规定时间，应退 {amount_minor}。",
    ),
    "refund.due/wrong_amount": Told(
        "6, order.paid",
        "Payment {payment} was not the amount payable, so {amount_minor} is owed back.",
        "付款 {payment} 的金额与应付金额不符，应退 {amount_minor}。",
    ),
    "refund.due/wrong_currency": Told(
        "6, order.paid",
        "Payment {payment} was not in the offer's currency, so {amount_minor} is owed back.",
        "付款 {payment} 的币种不符，应退 {amount_minor}。",
    ),
    "refund.due/second_payment": Told(
        "6, order.paid",
        "Order {order} had been paid before, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 已付款，重复付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/unknown_order": Told(
        "6, order.paid",
        "No order {order} was known when payment {payment} came, so {amount_minor} is owed back.",
        "付款 {payment} 到达时无订单 {order}，应退 {amount_minor}。",
    ),
    "refund.due/no_payment_due": Told(
        "6, order.paid",
        "Order {order} needed no payment, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 无需付款，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/order_refused": Told(
        "4, payment with a refused order",
        "Order {order} was refused, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 被拒绝，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/not_confirmed": Told(
        "6",
        "The seat of order {order} was not confirmed, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 的名额未确认，付款 {payment} 应退 {amount_minor}。",
    ),
    "refund.due/price_by_size": Told(
        "6, filling",
        "The group grew so large that it costs less: {amount_minor} of payment {payment} is owed back.",
        "因成团人数较多价格更低，付款 {payment} 应退差额 {amount_minor}。",
    ),
    "refund.closed": Told(
        "6, refund",
        "The payment backend answered refund {refund}: {status}.",
        "支付方对退款 {refund} 的答复：{status}。",
    ),
    "member.noted": Told("8", "What was said of the member is in force.", "关于该成员的设置已生效。"),
    "clock.advanced": Told(
        "0", "Time went on; what was due stands in the entries before.", "时间推进，到期事项见此前的条目。"
    ),
    "refused": Told("1", "It was refused.", "已被拒绝。"),
    "duplicate": Told(
        "1.5",
        "It is the same as what came before, and counts once: see entry {of}.",
        "与此前内容相同，只计一次：见条目 {of}。",
    ),
    "malformed": Told("1", "It could not be read, so nothing was done.", "内容无法读取，未作任何处理。"),
}
"""By kind of decision, or kind/cause."""
