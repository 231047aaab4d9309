"""Explanations of why something was refused before or by the rules of groups, and of what could not be read."""

from typing import Final

from services.ledger.explaining.words import Explanation as Told

REASONS: Final = {
    "market_not_configured": Told("1.1", "The market was not open yet.", "市场当时尚未开放。"),
    "wrong_family": Told(
        "1.2",
        "The shop sent it on a channel for other things; it can send it again on the right one.",
        "商家使用了其他类别的通道，可通过正确的通道重新提交。",
    ),
    "publisher_not_allowed": Told(
        "1.3", "Whoever sent it may not send such things in this market.", "提交方无权在该市场提交此类内容。"
    ),
    "too_old": Told(
        "1.6",
        "It came too long after it says it happened; it may be sent anew with its own time.",
        "提交距其所称时间过久，可按实际时间重新提交。",
    ),
    "from_the_future": Told(
        "1.6",
        "It says that it happens later than it came: the sender's clock is ahead.",
        "其时间晚于提交时间：提交方的时钟超前。",
    ),
    "id_reused": Told(
        "1.5",
        "Its number had been used before for something else; the first one counts.",
        "该编号此前已用于其他内容，以首次为准。",
    ),
    "capacity": Told(
        "1.7",
        "The market had no room for more at that moment; it may be tried again later.",
        "市场当时已满，可稍后重试。",
    ),
    "personal_data": Told(
        "1.4",
        "It held what looks like a phone number, identity number or e-mail address; nothing of it was kept.",
        "其中疑似包含手机号、身份证号或邮箱，内容未被保留。",
    ),
    "clock_fixed": Told("2", "The market's clock cannot be another any more.", "市场时钟已不可更改。"),
    "timezone_unknown": Told("2", "There is no such time zone.", "没有该时区。"),
    "timezone_fixed": Told("2", "The market's time zone cannot be another any more.", "市场时区已不可更改。"),
    "rule_version_unknown": Told("2", "There are no such rules.", "没有该版本的规则。"),
    "restore_mismatch": Told(
        "2",
        "It does not stand where the lost stream ended, so it counts for nothing.",
        "其位置并非丢失的流的末尾，故无效。",
    ),
    "offer_exists": Told("3", "There was an offer of this number already.", "该编号的商品已存在。"),
    "offer_unknown": Told("3 and 4.2", "There was no offer of this number at that moment.", "当时没有该编号的商品。"),
    "offer_incomplete": Told("3", "The offer said too little about its groups.", "商品缺少必需的规则。"),
    "offer_inconsistent": Told(
        "3", "What the offer said about its groups does not go together.", "商品的规则互相矛盾。"
    ),
    "offer_not_open_yet": Told("4.2", "The offer had not opened yet when it came.", "提交时该商品尚未开始。"),
    "offer_closed": Told("4.2", "The offer had closed when it came.", "提交时该商品已结束。"),
    "offer_withdrawn": Told("4.2", "The offer had been taken down when it came.", "提交时该商品已下架。"),
    "stock_untracked": Told("3", "This offer counts no such stock.", "该商品未设此类库存。"),
    "stock_negative": Told("3", "There was less in stock than was to be taken out.", "库存少于拟减少的数量。"),
    "order_exists": Told(
        "4.1",
        "An order of this number, with other contents, was there already; that one counts.",
        "该编号的订单已存在且内容不同，以已有订单为准。",
    ),
    "order_unknown": Told(
        "6",
        "There was no order of this number, or it ended so long ago that it is forgotten.",
        "没有该编号的订单，或已结束过久。",
    ),
    "order_over": Told("6", "The order had ended before it came.", "提交时该订单已结束。"),
    "sku_required": Told("4.3", "The offer comes in variants, and none was named.", "该商品有多种规格，未指定规格。"),
    "sku_unknown": Told("4.3", "The offer has no such variant.", "该商品没有此规格。"),
    "out_of_stock": Told("4.3", "Too little was left at that moment.", "当时库存不足。"),
    "quantity_too_large": Told("4.3", "It was more than one group takes.", "数量超过一个团的容量。"),
    "limit_at_once": Told(
        "4.5",
        "The member had as many open at that moment as this offer allows one member.",
        "该成员当时同时参与的数量已达到该商品的上限。",
    ),
    "limit_total": Told(
        "4.5", "The member had as many in all as this offer allows one member.", "该成员累计数量已达到该商品的上限。"
    ),
    "no_open_group": Told(
        "4.4 and 5", "No group that would take the order was open at that moment.", "当时没有可加入的团。"
    ),
    "group_unknown": Told(
        "4.4",
        "There was no group of this number, or it ended so long ago that it is forgotten.",
        "没有该编号的团，或已结束过久。",
    ),
    "group_over": Told("4.4", "The group had ended before it came.", "提交时该团已结束。"),
    "group_full": Told("4.4", "The last seat had been taken before it came.", "提交前最后一个名额已被占用。"),
    "group_of_other_offer": Told("4.4", "The group is one of another offer.", "该团属于其他商品。"),
    "wrong_pool": Told("4.4", "The group is for another circle of members.", "该团属于其他范围。"),
    "already_in_group": Told("4.4", "The member had a seat in this group already.", "该成员已在团中。"),
    "blocked": Told("4.4 and 8", "The member could not be seated in this group.", "该成员无法加入此团。"),
    "withdrawal_not_allowed": Told(
        "6, order.withdrawn", "This offer does not let a member leave at that stage.", "该商品在此阶段不允许退出。"
    ),
    "leader_may_not_leave": Told(
        "6, order.withdrawn",
        "The leader of a group of this offer may not leave while others are in it.",
        "该商品的团长在有其他成员时不可退出。",
    ),
    "nothing_to_change": Told(
        "6, order.changed", "The order is as it was to become already.", "订单已是所要修改的内容。"
    ),
    "already_paid": Told(
        "6, order.changed", "The order had been paid, after which its quantity stays.", "订单已付款，数量不可再修改。"
    ),
    "no_payment_due": Told("4.6", "The order needs no payment.", "该订单无需付款。"),
    "wrong_amount": Told("4.6", "The payment was not the amount payable.", "付款金额与应付金额不符。"),
    "wrong_currency": Told("4.6", "The payment was in another currency than the offer's.", "付款币种与商品不符。"),
    "second_payment": Told("6, order.paid", "The order had been paid before.", "订单此前已付款。"),
    "late_payment": Told("6, order.paid", "The payment came after the time for it was over.", "付款晚于规定时间。"),
    "payment_known": Told("4.6 and 6", "This payment had been dealt with before.", "该笔付款此前已处理。"),
    "refund_unknown": Told(
        "6, refund",
        "There is no such refund, or it was settled so long ago that it is forgotten.",
        "没有该退款，或已完成过久。",
    ),
    "refund_settled": Told("6, refund", "The refund had been settled before.", "该退款此前已完成。"),
    "nothing_confirmed": Told(
        "6, group.completed",
        "Nobody in the group had a confirmed seat, so there was nothing to complete.",
        "团内没有已确认的名额，无法补成团。",
    ),
    "self_block": Told("8", "A member cannot keep apart from itself.", "成员不能屏蔽自己。"),
}
"""By reason of a refusal."""

FAULTS: Final = {
    "not_utf8": Told("1", "The bytes are not text.", "内容不是文本。"),
    "not_json": Told("1", "It is no JSON.", "内容不是 JSON。"),
    "too_deep": Told("1", "It is nested too deeply to be read.", "嵌套过深，无法读取。"),
    "duplicate_key": Told(
        "1", "It says the same thing twice, and nobody can tell which counts.", "同一字段出现两次，无法判断以哪个为准。"
    ),
    "event_too_large": Told("1", "It is larger than an event may be.", "事件超过允许的大小。"),
    "batch_too_large": Told("1", "The batch is larger than one may be.", "批次超过允许的大小。"),
    "too_many_events": Told("1", "The batch holds more events than one may.", "批次中的事件过多。"),
    "empty": Told("1", "There was nothing in it.", "内容为空。"),
    "not_an_event": Told("1", "It is no event.", "不是事件。"),
    "unknown_type": Told("1", "There is no such type of event.", "没有该类型的事件。"),
    "wrong_field": Told("1", "A field is missing, or is not what it must be.", "字段缺失或不符合要求。"),
    "bad_id": Told("1", "A number or name has characters that are not allowed.", "编号含有不允许的字符。"),
    "bad_source": Told("1", "Its source cannot be one.", "来源不符合要求。"),
    "bad_time": Told("1", "A time in it is none.", "时间格式不正确。"),
    "bad_subject": Told("1", "It came on a channel that is none.", "通道不正确。"),
}
"""By fault of what could not be read."""
