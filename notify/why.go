package notify

// The reasons why a message is where it is; a channel may give others, in words of its own. Most say why it could not
// be sent at the last try.
const (
	NoWindow     = "no_window"     // the platform allows nothing now
	NotFollowing = "not_following" // they do not follow the account
	NoUser       = "no_user"       // the channel does not know them
	Quota        = "quota"         // the day's messages are used up
	PausedByThem = "paused"        // the platform has paused the account
	Unreachable  = "unreachable"   // the platform does not answer
	Refused      = "refused"       // the platform refused this very message
	Failed       = "failed"        // it could not be made
	Expired      = "expired"       // it is not worth sending any more
	BlockedHere  = "blocked"       // they are blocked in the campaign
	NothingToSay = "nothing_to_say"
	NotJoined    = "not_joined" // they could not join, so there is no poster
	Superseded   = "superseded" // a newer message took its place
	WindowOpened = "window_opened"
)

type words struct{ en, zh string }

var stateWords = map[State]words{
	Owed:    {"It will be sent.", "等待发送。"},
	Taken:   {"It is being sent.", "正在发送。"},
	Waiting: {"It waits until they write, scan or tap a menu key.", "等待对方发消息、扫码或点菜单后再发。"},
	Sent:    {"It was sent.", "已发送。"},
	Merged:  {"It was not sent, since a newer message took its place.", "未发送，内容已并入更新的一条消息。"},
	Unsent:  {"It was not sent and will not be.", "未发送，也不会再发。"},
}

var reasonWords = map[string]words{
	NoWindow:     {"The platform allows messages to them only for a while after they did something.", "平台只允许在对方互动后的一段时间内发消息。"},
	NotFollowing: {"They do not follow the account.", "对方没有关注公众号。"},
	NoUser:       {"The channel does not know them.", "渠道里没有这个用户。"},
	Quota:        {"The day's quota of messages is used up.", "当天的发送额度已用完。"},
	PausedByThem: {"The platform has paused the account's messages.", "平台暂停了该账号的发送。"},
	Unreachable:  {"The platform did not answer.", "平台没有响应。"},
	Refused:      {"The platform refused it.", "平台拒绝了这条消息。"},
	Failed:       {"It could not be made; the log says why.", "消息生成失败，原因见日志。"},
	Expired:      {"By the time it could be sent it was not worth sending any more.", "等到可以发送时已过时。"},
	BlockedHere:  {"They are blocked in this campaign.", "该用户在本活动中已被拉黑。"},
	NothingToSay: {"The campaign has nothing to say for it.", "活动没有为此配置文案。"},
	NotJoined:    {"They could not join the campaign.", "对方未能加入活动。"},
	WindowOpened: {"They have just done something, so a message is allowed.", "对方刚刚有互动，可以发送。"},
}

// Why tells where a message stands and for what reason, in English and in Chinese. A reason that is not known is shown
// as it is.
func Why(s State, reason string) (en, zh string) {
	said := stateWords[s]
	if said == (words{}) {
		said = words{string(s) + ".", string(s) + "。"}
	}
	because, known := reasonWords[reason]
	switch {
	case known:
		return said.en + " " + because.en, said.zh + because.zh
	case reason == "" || reason == Superseded:
		return said.en, said.zh
	}
	return said.en + " (" + reason + ")", said.zh + "(" + reason + ")"
}
