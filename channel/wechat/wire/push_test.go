package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	person  = "oFissionUser0001AbCdEfGhIjKl"
	account = "gh_0123456789ab"
)

// push is a body with the common elements and more.
func push(msgType, more string) []byte {
	return []byte("<xml><ToUserName><![CDATA[" + account + "]]></ToUserName><FromUserName><![CDATA[" + person +
		"]]></FromUserName><CreateTime>1795333201</CreateTime><MsgType><![CDATA[" + msgType + "]]></MsgType>" + more + "</xml>")
}

func event(name, more string) []byte {
	return push("event", "<Event><![CDATA["+name+"]]></Event>"+more)
}

func TestParse(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name string
		body []byte
		want Push
	}{
		{
			"Text", push("text", "<Content><![CDATA[活动]]></Content><MsgId>7415926535897932384</MsgId>"),
			Push{MsgType: MsgText, Content: "活动", MsgID: "7415926535897932384"},
		},
		{
			"TextUnderAnArticle", push("text", "<Content>x</Content><MsgId>1</MsgId><MsgDataId>55</MsgDataId><Idx>2</Idx>"),
			Push{MsgType: MsgText, Content: "x", MsgID: "1", MsgDataID: "55", Idx: "2"},
		},
		{
			"MenuMessageTap", push("text", "<Content>满意</Content><MsgId>1</MsgId><bizmsgmenuid>101</bizmsgmenuid>"),
			Push{MsgType: MsgText, Content: "满意", MsgID: "1", BizMsgMenuID: "101"},
		},
		{
			"Image", push("image", "<PicUrl><![CDATA[http://p?a=1&b=2]]></PicUrl><MediaId>M</MediaId><MsgId>1</MsgId>"),
			Push{MsgType: MsgImage, PicURL: "http://p?a=1&b=2", MediaID: "M", MsgID: "1"},
		},
		{
			"Voice", push("voice", "<MediaId>M</MediaId><Format>amr</Format><Recognition>你好</Recognition><MediaId16K>M16</MediaId16K><MsgId>1</MsgId>"),
			Push{MsgType: MsgVoice, MediaID: "M", Format: "amr", Recognition: "你好", MediaID16K: "M16", MsgID: "1"},
		},
		{
			"Video", push("video", "<MediaId>M</MediaId><ThumbMediaId>T</ThumbMediaId><MsgId>1</MsgId>"),
			Push{MsgType: MsgVideo, MediaID: "M", ThumbMediaID: "T", MsgID: "1"},
		},
		{
			"ShortVideo", push("shortvideo", "<MediaId>M</MediaId><ThumbMediaId>T</ThumbMediaId><MsgId>1</MsgId>"),
			Push{MsgType: MsgShortVideo, MediaID: "M", ThumbMediaID: "T", MsgID: "1"},
		},
		{
			"Location", push("location", "<Location_X>23.134521</Location_X><Location_Y>113.358803</Location_Y><Scale>20</Scale><Label>广州</Label><MsgId>1</MsgId>"),
			Push{MsgType: MsgLocation, MsgID: "1", Place: &Place{Latitude: 23.134521, Longitude: 113.358803, Scale: 20, Label: "广州"}},
		},
		{
			"Link", push("link", "<Title>t</Title><Description>d</Description><Url>https://e/?a=1&amp;b=2</Url><MsgId>1</MsgId>"),
			Push{MsgType: MsgLink, Title: "t", Description: "d", URL: "https://e/?a=1&b=2", MsgID: "1"},
		},

		{"Subscribe", event("subscribe", ""), Push{Event: EventSubscribe}},
		{"SubscribeWithAnEmptyKey", event("subscribe", "<EventKey><![CDATA[]]></EventKey>"), Push{Event: EventSubscribe}},
		{
			"SubscribeThroughACode", event("subscribe", "<EventKey><![CDATA[qrscene_c7.u1024]]></EventKey><Ticket><![CDATA[gQ==]]></Ticket>"),
			Push{Event: EventSubscribe, EventKey: "qrscene_c7.u1024", Ticket: "gQ=="},
		},
		{"Unsubscribe", event("unsubscribe", "<EventKey/>"), Push{Event: EventUnsubscribe}},
		{"Scan", event("SCAN", "<EventKey>c7.u1024</EventKey><Ticket>gQ==</Ticket>"), Push{Event: EventScan, EventKey: "c7.u1024", Ticket: "gQ=="}},
		{
			"LocationEvent", event("LOCATION", "<Latitude>23.137466</Latitude><Longitude>113.352425</Longitude><Precision>119.385040</Precision>"),
			Push{Event: EventLocation, Place: &Place{Latitude: 23.137466, Longitude: 113.352425, Precision: 119.38504}},
		},
		{"Click", event("CLICK", "<EventKey>POSTER</EventKey>"), Push{Event: EventClick, EventKey: "POSTER"}},
		{"View", event("VIEW", "<EventKey>https://e/</EventKey><MenuId>4</MenuId>"), Push{Event: EventView, EventKey: "https://e/", MenuID: "4"}},
		{"ViewMiniProgram", event("view_miniprogram", "<EventKey>pages/i/i</EventKey><MenuId>4</MenuId>"), Push{Event: EventMiniProgram, EventKey: "pages/i/i", MenuID: "4"}},
		{
			"ScanCodePush", event("scancode_push", "<EventKey>k</EventKey><ScanCodeInfo><ScanType>qrcode</ScanType><ScanResult>1</ScanResult></ScanCodeInfo>"),
			Push{Event: EventScanCode, EventKey: "k", ScanCode: &ScanCode{"qrcode", "1"}},
		},
		{
			"ScanCodeWait", event("scancode_waitmsg", "<EventKey>k</EventKey><ScanCodeInfo><ScanType>barcode</ScanType><ScanResult>EAN_13,69</ScanResult></ScanCodeInfo>"),
			Push{Event: EventScanCodeWait, EventKey: "k", ScanCode: &ScanCode{"barcode", "EAN_13,69"}},
		},
		{
			"Photos", event("pic_sysphoto", "<EventKey>k</EventKey><SendPicsInfo><Count>2</Count><PicList><item><PicMd5Sum>aa</PicMd5Sum></item><item><PicMd5Sum>bb</PicMd5Sum></item></PicList></SendPicsInfo>"),
			Push{Event: EventPhoto, EventKey: "k", Pictures: []string{"aa", "bb"}},
		},
		{
			"PhotoOrAlbum", event("pic_photo_or_album", "<SendPicsInfo><Count>1</Count><PicList><item><PicMd5Sum>aa</PicMd5Sum></item></PicList></SendPicsInfo>"),
			Push{Event: EventPhotoOrAlbum, Pictures: []string{"aa"}},
		},
		{"Album", event("pic_weixin", "<SendPicsInfo><Count>0</Count><PicList></PicList></SendPicsInfo>"), Push{Event: EventAlbum}},
		{
			"LocationSelect", event("location_select", "<EventKey>k</EventKey><SendLocationInfo><Location_X>23</Location_X><Location_Y>113</Location_Y><Scale>15</Scale><Label>路</Label><Poiname>店</Poiname></SendLocationInfo>"),
			Push{Event: EventLocationSelect, EventKey: "k", Place: &Place{Latitude: 23, Longitude: 113, Scale: 15, Label: "路", Name: "店"}},
		},
		{
			"TemplateSent", event("TEMPLATESENDJOBFINISH", "<MsgID>200163836</MsgID><Status>failed: system failed</Status>"),
			Push{Event: EventTemplateSent, JobID: "200163836", Status: "failed: system failed"},
		},
		{
			"MassSent", event("MASSSENDJOBFINISH", `<MsgID>1000001625</MsgID><Status>err(30003)</Status><TotalCount>5</TotalCount><FilterCount>4</FilterCount><SentCount>3</SentCount><ErrorCount>1</ErrorCount>
			<CopyrightCheckResult><Count>1</Count><ResultList><item><ArticleIdx>1</ArticleIdx><UserDeclareState>0</UserDeclareState><AuditState>2</AuditState><OriginalArticleUrl>u</OriginalArticleUrl><OriginalArticleType>1</OriginalArticleType><CanReprint>1</CanReprint><NeedReplaceContent>1</NeedReplaceContent><NeedShowReprintSource>1</NeedShowReprintSource></item></ResultList><CheckState>2</CheckState></CopyrightCheckResult>
			<ArticleUrlResult><Count>1</Count><ResultList><item><ArticleIdx>1</ArticleIdx><ArticleUrl>https://a</ArticleUrl></item></ResultList></ArticleUrlResult>`),
			Push{Event: EventMassSent, JobID: "1000001625", Status: "err(30003)", Mass: &MassJob{
				Total: 5, Filtered: 4, Sent: 3, Failed: 1, CheckState: 2,
				Copyright: []Copyright{{Index: 1, AuditState: 2, OriginalURL: "u", OriginalType: 1, CanReprint: true, NeedReplaceContent: true, NeedShowSource: true}},
				Articles:  []Article{{1, "https://a"}},
			}},
		},
		{"MassSentInShort", event("MASSSENDJOBFINISH", "<MsgID>1</MsgID><Status>send success</Status>"), Push{Event: EventMassSent, JobID: "1", Status: "send success", Mass: &MassJob{}}},
		{
			"Published", event("PUBLISHJOBFINISH", "<PublishEventInfo><publish_id>2247503051</publish_id><publish_status>0</publish_status><article_id>b5O2</article_id><article_detail><count>1</count><item><idx>1</idx><article_url>https://a</article_url></item></article_detail></PublishEventInfo>"),
			Push{Event: EventPublished, Publish: &Publish{ID: "2247503051", ArticleID: "b5O2", Articles: []Article{{1, "https://a"}}}},
		},
		{
			"PublicationFailed", event("PUBLISHJOBFINISH", "<PublishEventInfo><publish_id>1</publish_id><publish_status>2</publish_status><fail_idx>1</fail_idx><fail_idx>2</fail_idx></PublishEventInfo>"),
			Push{Event: EventPublished, Publish: &Publish{ID: "1", Status: 2, Failed: []int64{1, 2}}},
		},
		{
			"NoticePopup", event("subscribe_msg_popup_event", "<SubscribeMsgPopupEvent><List><TemplateId>A</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>1</PopupScene></List><List><TemplateId>B</TemplateId><SubscribeStatusString>reject</SubscribeStatusString><PopupScene>2</PopupScene></List></SubscribeMsgPopupEvent>"),
			Push{Event: EventNoticePopup, Notices: []Notice{{TemplateID: "A", Status: "accept", Scene: "1"}, {TemplateID: "B", Status: "reject", Scene: "2"}}},
		},
		{
			"NoticeChange", event("subscribe_msg_change_event", "<SubscribeMsgChangeEvent><List><TemplateId>A</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgChangeEvent>"),
			Push{Event: EventNoticeChange, Notices: []Notice{{TemplateID: "A", Status: "reject"}}},
		},
		{
			"NoticeSent", event("subscribe_msg_sent_event", "<SubscribeMsgSentEvent><List><TemplateId>A</TemplateId><MsgID>12</MsgID><ErrorCode>43101</ErrorCode><ErrorStatus>user refuse</ErrorStatus></List></SubscribeMsgSentEvent>"),
			Push{Event: EventNoticeSent, Notices: []Notice{{TemplateID: "A", MsgID: "12", ErrorCode: 43101, ErrorStatus: "user refuse"}}},
		},
		{"NoticeSentWithoutAList", event("subscribe_msg_sent_event", ""), Push{Event: EventNoticeSent}},

		{"AnEventNobodyKnows", event("Wxa_Media_Check", "<trace_id>1</trace_id>"), Push{Event: "wxa_media_check"}},
		{"AMessageNobodyKnows", push("Hologram", "<MsgId>1</MsgId>"), Push{MsgType: "hologram", MsgID: "1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := c.want
			want.To, want.From, want.CreateTime = account, person, 1795333201
			if want.MsgType == "" {
				want.MsgType = MsgEvent
			}
			got, err := Parse(c.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}

	t.Run("SpaceOrderAndCaseDoNotMatter", func(t *testing.T) {
		got, err := Parse([]byte("\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- hello --><xml><EventKey> <![CDATA[qrscene_A1]]>\n</EventKey><Event>  <![CDATA[SubScribe]]></Event>" +
			"<Extra><Deep>1</Deep></Extra><MsgType attr=\"1\"> <![CDATA[Event]]> </MsgType><CreateTime> 1795333201 </CreateTime>" +
			"<FromUserName>\t<![CDATA[" + person + "]]></FromUserName><ToUserName><![CDATA[" + account + "]]></ToUserName></xml>\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got.Event != EventSubscribe || got.Scene() != "A1" || got.From != person {
			t.Fatalf("%+v", got)
		}
	})

	t.Run("ACharacterThatXMLCannotHoldIsPassedOver", func(t *testing.T) {
		got, err := Parse(push("text", "<Content><![CDATA[\x08活\x00动\xff]]></Content><MsgId>1</MsgId>"))
		if err != nil || got.Content != "活动\ufffd" {
			t.Fatalf("%q, %v", got.Content, err)
		}
	})

	t.Run("NumbersThatAreNoneAreZero", func(t *testing.T) {
		got, err := Parse(push("location", "<Location_X>NaN</Location_X><Location_Y>Inf</Location_Y><Scale>x</Scale>"))
		if err != nil || *got.Place != (Place{}) {
			t.Fatalf("%+v, %v", got.Place, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const said = "13800138000"
	text := string(push("text", "<Content>"+said+"</Content><MsgId>1</MsgId>"))
	bomb := `<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>`

	for name, body := range map[string]string{
		"nothing":                     "",
		"JSON":                        `{"ToUserName":"gh"}`,
		"another root":                strings.ReplaceAll(text, "xml>", "html>"),
		"two roots":                   text + text,
		"text before":                 "hello" + text,
		"text after":                  text + "hello",
		"half of it":                  text[:len(text)-8],
		"crossed elements":            "<xml><a><b></a></b></xml>",
		"an end without a start":      "</xml>",
		"a document type":             "<!DOCTYPE xml>" + text,
		"a bomb of entities":          bomb + strings.Replace(text, said, "&lol2;", 1),
		"a document type inside":      strings.Replace(text, "<Content>", bomb+"<Content>", 1),
		"an outside entity":           `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>` + strings.Replace(text, said, "&f;", 1),
		"an entity that is not XML's": strings.Replace(text, said, "&nbsp;", 1),
		"a control character, named":  strings.Replace(text, said, "&#8;", 1),
		"an instruction":              `<?php x ?>` + text,
		"a late declaration":          strings.Replace(text, "<Content>", `<?xml version="1.0"?><Content>`, 1),
		"another encoding":            `<?xml version="1.0" encoding="GB2312"?>` + text,
		"an open CDATA section":       strings.Replace(text, said, "<![CDATA["+said, 1),
		"65537 bytes":                 strings.Replace(text, said, strings.Repeat("x", MaxBody+1-len(text)+len(said)), 1),
		"too deep":                    strings.Replace(text, said, strings.Repeat("<a>", 13)+strings.Repeat("</a>", 13), 1),
		"too many elements":           strings.Replace(text, said, strings.Repeat("<a/>", 700), 1),
		"no sender":                   strings.Replace(text, person, "", 1),
		"no receiver":                 strings.Replace(text, account, "", 1),
		"no time":                     strings.Replace(text, "1795333201", "", 1),
		"a time before time":          strings.Replace(text, "1795333201", "-5", 1),
		"a time that is none":         strings.Replace(text, "1795333201", "179533320100000000000", 1),
		"no kind":                     strings.Replace(text, "<![CDATA[text]]>", "", 1),
		"a sealed push":               "<xml><ToUserName>gh</ToUserName><Encrypt>AAAA</Encrypt></xml>",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(body))
			want := ErrMalformed
			if name == "a sealed push" {
				want = ErrSealed
			}
			if !errors.Is(err, want) {
				t.Fatalf("%+v, %v", got, err)
			}
			if strings.Contains(err.Error(), said) {
				t.Fatalf("the error shows the person's text: %v", err)
			}
		})
	}

	t.Run("XMLsOwnEntitiesAndNumbersAreTaken", func(t *testing.T) {
		got, err := Parse([]byte(strings.Replace(text, said, "&lt;&gt;&amp;&quot;&apos;&#27963;&#x52A8;", 1)))
		if err != nil || got.Content != `<>&"'活动` {
			t.Fatalf("%q, %v", got.Content, err)
		}
	})
	t.Run("ABodyOfTheLargestSizeIsTaken", func(t *testing.T) {
		if _, err := Parse([]byte(strings.Replace(text, said, strings.Repeat("x", MaxBody-len(text)+len(said)), 1))); err != nil {
			t.Fatal(err)
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	key := func(body []byte) string {
		t.Helper()
		p, err := Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Parse(body); again.Key() != p.Key() {
			t.Fatal("the same push has two keys")
		}
		return p.Key()
	}
	if got := key(push("text", "<Content>a</Content><MsgId>74</MsgId>")); got != "74" {
		t.Fatal(got)
	}
	if got := key(event("CLICK", "<EventKey>K</EventKey>")); got != person+"|1795333201|click|K" {
		t.Fatal(got)
	}
	seen := map[string]string{}
	for name, body := range map[string][]byte{
		"a click":           event("CLICK", "<EventKey>A</EventKey>"),
		"another key":       event("CLICK", "<EventKey>B</EventKey>"),
		"a view":            event("VIEW", "<EventKey>A</EventKey>"),
		"a template":        event("TEMPLATESENDJOBFINISH", "<MsgID>1</MsgID>"),
		"another template":  event("TEMPLATESENDJOBFINISH", "<MsgID>2</MsgID>"),
		"a text without id": push("text", "<Content>a</Content>"),
		"another text":      push("text", "<Content>b</Content>"),
		"a picture":         push("image", "<MediaId>a</MediaId>"),
	} {
		k := key(body)
		if other, taken := seen[k]; taken {
			t.Errorf("%s and %s have the key %s", name, other, k)
		}
		seen[k] = name
	}
}

func TestScene(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body []byte
		want string
	}{
		"a follow through a code":       {event("subscribe", "<EventKey>qrscene_AB12</EventKey>"), "AB12"},
		"a follow from elsewhere":       {event("subscribe", "<EventKey></EventKey>"), ""},
		"a follow with another key":     {event("subscribe", "<EventKey>last_trade_no_1</EventKey>"), ""},
		"a scan":                        {event("SCAN", "<EventKey>AB12</EventKey>"), "AB12"},
		"a scan keeps its own prefix":   {event("scan", "<EventKey>qrscene_x</EventKey>"), "qrscene_x"},
		"a menu":                        {event("CLICK", "<EventKey>qrscene_AB12</EventKey>"), ""},
		"a text that says it is a scan": {push("text", "<Event>SCAN</Event><EventKey>AB12</EventKey><MsgId>1</MsgId>"), ""},
	} {
		p, err := Parse(c.body)
		if err != nil || p.Scene() != c.want {
			t.Errorf("%s: %q, %v", name, p.Scene(), err)
		}
	}
}
