"""Explanations of disputes, from the claim to its remedy."""

from typing import Final

from services.ledger.explaining.words import Explanation as Told

DECISIONS: Final = {
    "dispute.opened": Told(
        "11",
        "Dispute {dispute} was opened; the other side may answer before {answer_until}.",
        "争议 {dispute} 已受理，对方可在 {answer_until} 前答复。",
    ),
    "dispute.answered": Told("11", "An answer was given in dispute {dispute}.", "争议 {dispute} 已有答复。"),
    "dispute.evidenced": Told(
        "11", "Evidence {evidence} was handed in for dispute {dispute}.", "争议 {dispute} 已提交证据 {evidence}。"
    ),
    "dispute.proposed": Told(
        "11",
        "A resolution of dispute {dispute} waits for a second person to agree.",
        "争议 {dispute} 的处理方案待第二人确认。",
    ),
    "dispute.resolved": Told(
        "11",
        "Dispute {dispute} was resolved; it may be appealed before {appeal_until}.",
        "争议 {dispute} 已有处理结果，可在 {appeal_until} 前申请复议。",
    ),
    "dispute.appealed": Told(
        "11",
        "Dispute {dispute} was appealed; somebody else looks at it before {resolve_until}.",
        "争议 {dispute} 已申请复议，将由他人在 {resolve_until} 前处理。",
    ),
    "dispute.overdue": Told("11", "A deadline of dispute {dispute} passed.", "争议 {dispute} 的一项期限已过。"),
    "dispute.closed": Told(
        "11", "The resolution of dispute {dispute} is final.", "争议 {dispute} 的处理结果为最终结果。"
    ),
    "refund.due/dispute": Told(
        "11",
        "A dispute about order {order} was resolved, so {amount_minor} of payment {payment} is owed back.",
        "订单 {order} 的争议已处理，付款 {payment} 应退 {amount_minor}。",
    ),
}
"""By kind of decision, or kind/cause."""

REASONS: Final = {
    "dispute_exists": Told("11", "The same had been disputed before.", "该争议此前已提出。"),
    "dispute_unknown": Told("11", "There was no dispute of this number.", "没有该编号的争议。"),
    "dispute_over": Told("11", "The dispute had been resolved before it came.", "提交时该争议已处理。"),
    "dispute_not_over": Told("11", "The dispute had not been resolved yet.", "该争议尚未处理。"),
    "subject_unknown": Told(
        "11", "What is disputed is not known here, or not any more.", "争议的对象不存在或已过保存期。"
    ),
    "not_concerned": Told("11", "What is disputed does not concern this member.", "争议的对象与该成员无关。"),
    "claim_too_late": Told("11", "The time in which it could be disputed was over.", "已超过申诉期限。"),
    "answer_too_late": Told("11", "The time in which it could be answered was over.", "已超过答复期限。"),
    "answer_awaited": Told("11", "The other side's time for an answer was not over yet.", "对方的答复期限尚未届满。"),
    "appeal_too_late": Told("11", "The time in which it could be appealed was over.", "已超过复议期限。"),
    "appealed_before": Told(
        "11", "It had been appealed once, which is as often as one can.", "已复议过一次，不可再次复议。"
    ),
    "evidence_known": Told("11", "The same evidence had been handed in before.", "该证据此前已提交。"),
    "same_actor": Told("11", "It takes another person than the first.", "须由另一人处理。"),
    "remedy_incomplete": Told("11", "The remedy does not say what it is about.", "处理方式缺少必需的内容。"),
    "remedy_unsuited": Told("11", "The remedy does not belong to what is disputed.", "处理方式与争议的对象不符。"),
    "remedy_done": Told("11", "What the remedy would bring about holds already.", "该处理已生效。"),
    "nothing_to_refund": Told("11", "The order holds no money that could go back.", "该订单没有可退的款项。"),
    "refund_too_large": Told("11", "The order holds less money than that.", "退款金额超过可退的款项。"),
    "order_still_seated": Told("11", "The order still has a seat in an open group.", "该订单仍在进行中的团内。"),
}
"""By reason of a refusal."""
