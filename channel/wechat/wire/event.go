package wire

import "strings"

// event fills in what the events of the platform carry beside sender and time.
func (p *Push) event(root *node) {
	p.Event = strings.ToLower(root.str("Event"))
	p.EventKey = root.str("EventKey")
	p.Ticket = root.str("Ticket")
	p.MenuID = root.str("MenuId", "MenuID")
	p.JobID = root.str("MsgID", "MsgId")
	p.Status = root.str("Status")

	switch p.Event {
	case EventLocation:
		p.Place = &Place{
			Latitude:  root.real("Latitude"),
			Longitude: root.real("Longitude"),
			Precision: root.real("Precision"),
		}
	case EventLocationSelect:
		p.Place = place(root.first("SendLocationInfo"))
	case EventScanCode, EventScanCodeWait:
		info := root.first("ScanCodeInfo")
		p.ScanCode = &ScanCode{Type: info.str("ScanType"), Result: info.str("ScanResult")}
	case EventPhoto, EventPhotoOrAlbum, EventAlbum:
		for _, item := range root.first("SendPicsInfo").first("PicList").all("item") {
			p.Pictures = append(p.Pictures, item.str("PicMd5Sum"))
		}
	case EventNoticePopup:
		p.Notices = notices(root, "SubscribeMsgPopupEvent")
	case EventNoticeChange:
		p.Notices = notices(root, "SubscribeMsgChangeEvent")
	case EventNoticeSent:
		p.Notices = notices(root, "SubscribeMsgSentEvent")
	case EventMassSent:
		p.Mass = massJob(root)
	case EventPublished:
		p.Publish = publication(root.first("PublishEventInfo"))
	}
}

func place(n *node) *Place {
	return &Place{
		Latitude:  n.real("Location_X"),
		Longitude: n.real("Location_Y"),
		Scale:     n.real("Scale"),
		Label:     n.str("Label"),
		Name:      n.str("Poiname"),
	}
}

// notices are the templates of a subscribe_msg event: a List for each, side by side.
func notices(root *node, name string) []Notice {
	var all []Notice
	for _, event := range root.all(name) {
		for _, n := range event.all("List") {
			all = append(all, Notice{
				TemplateID:  n.str("TemplateId"),
				Status:      strings.ToLower(n.str("SubscribeStatusString")),
				Scene:       n.str("PopupScene"),
				MsgID:       n.str("MsgID", "MsgId"),
				ErrorCode:   n.num("ErrorCode"),
				ErrorStatus: n.str("ErrorStatus"),
			})
		}
	}
	return all
}

func massJob(root *node) *MassJob {
	job := &MassJob{
		Total:    root.num("TotalCount"),
		Filtered: root.num("FilterCount"),
		Sent:     root.num("SentCount"),
		Failed:   root.num("ErrorCount"),
	}
	check := root.first("CopyrightCheckResult")
	job.CheckState = check.num("CheckState")
	for _, item := range check.first("ResultList").all("item") {
		job.Copyright = append(job.Copyright, Copyright{
			Index:              item.num("ArticleIdx"),
			UserDeclareState:   item.num("UserDeclareState"),
			AuditState:         item.num("AuditState"),
			OriginalURL:        item.str("OriginalArticleUrl"),
			OriginalType:       item.num("OriginalArticleType"),
			CanReprint:         item.num("CanReprint") == 1,
			NeedReplaceContent: item.num("NeedReplaceContent") == 1,
			NeedShowSource:     item.num("NeedShowReprintSource") == 1,
		})
	}
	for _, item := range root.first("ArticleUrlResult").first("ResultList").all("item") {
		job.Articles = append(job.Articles, Article{Index: item.num("ArticleIdx"), URL: item.str("ArticleUrl")})
	}
	return job
}

func publication(info *node) *Publish {
	done := &Publish{
		ID:        info.str("publish_id"),
		Status:    info.num("publish_status"),
		ArticleID: info.str("article_id"),
	}
	for _, item := range info.first("article_detail").all("item") {
		done.Articles = append(done.Articles, Article{Index: item.num("idx"), URL: item.str("article_url")})
	}
	for _, index := range info.all("fail_idx") {
		done.Failed = append(done.Failed, index.whole())
	}
	return done
}
