package client

import (
	"context"
	"net/url"
	"time"

	"kfactor/internal/fault"
)

const (
	pathUser      = "/cgi-bin/user/info"
	pathUsers     = "/cgi-bin/user/info/batchget"
	pathFollowers = "/cgi-bin/user/get"

	// MaxUserInfos is the most people that one call asks for.
	MaxUserInfos = 100
)

// UserInfo is what the platform tells about a person. Names and pictures are not among it:
// they come by Profile alone.
type UserInfo struct {
	OpenID     string
	UnionID    string // where the account is bound to an Open Platform account
	Follows    bool
	FollowedAt time.Time // the last time; zero where they do not follow
	Language   string
	Remark     string
	Tags       []int64
	Source     string // how they came to follow, such as ADD_SCENE_QR_CODE
	Scene      string // of the code they followed by, "" for none
	SceneID    int64  // of the code with a number, 0 for none
}

type userInfo struct {
	Subscribe     int     `json:"subscribe"`
	OpenID        string  `json:"openid"`
	UnionID       string  `json:"unionid"`
	Language      string  `json:"language"`
	SubscribeTime int64   `json:"subscribe_time"`
	Remark        string  `json:"remark"`
	Tags          []int64 `json:"tagid_list"`
	Source        string  `json:"subscribe_scene"`
	SceneID       int64   `json:"qr_scene"`
	Scene         string  `json:"qr_scene_str"`
}

func (u userInfo) public() UserInfo {
	info := UserInfo{
		OpenID: u.OpenID, UnionID: u.UnionID, Follows: u.Subscribe == 1, Language: u.Language,
		Remark: u.Remark, Tags: u.Tags, Source: u.Source, Scene: u.Scene, SceneID: u.SceneID,
	}
	if u.SubscribeTime > 0 {
		info.FollowedAt = time.Unix(u.SubscribeTime, 0).UTC()
	}
	return info
}

// UserInfo asks about one person (page "Get user basic information (UnionID mechanism)").
func (c *Client) UserInfo(ctx context.Context, openid string) (UserInfo, error) {
	var got userInfo
	err := c.call(ctx, get(pathUser, url.Values{"openid": {openid}, "lang": {"zh_CN"}}), &got)
	if err != nil {
		return UserInfo{}, err
	}
	if got.OpenID == "" {
		return UserInfo{}, malformed(pathUser)
	}
	return got.public(), nil
}

// UserInfos asks about at most MaxUserInfos people at once (page "Batch get user basic
// information").
func (c *Client) UserInfos(ctx context.Context, openids []string) ([]UserInfo, error) {
	if len(openids) == 0 {
		return nil, nil
	}
	if len(openids) > MaxUserInfos {
		return nil, fault.New(fault.TooLarge, "the platform tells about at most %d people at once, not %d", MaxUserInfos, len(openids))
	}
	type asked struct {
		OpenID string `json:"openid"`
		Lang   string `json:"lang"`
	}
	var body struct {
		Users []asked `json:"user_list"`
	}
	for _, id := range openids {
		body.Users = append(body.Users, asked{id, "zh_CN"})
	}
	var got struct {
		Users []userInfo `json:"user_info_list"`
	}
	if err := c.post(ctx, pathUsers, body, &got, true); err != nil {
		return nil, err
	}
	infos := make([]UserInfo, 0, len(got.Users))
	for _, u := range got.Users {
		infos = append(infos, u.public())
	}
	return infos, nil
}

// Followers is one page of those who follow, at most 10,000.
type Followers struct {
	Total   int64 // of all pages
	OpenIDs []string
	Next    string // where the next page begins; "" after the last
}

// Followers gives the page that begins after next, "" for the first (page "Get user list";
// 500 pages a day).
func (c *Client) Followers(ctx context.Context, next string) (Followers, error) {
	var got struct {
		Total int64 `json:"total"`
		Count int64 `json:"count"`
		Data  struct {
			OpenIDs []string `json:"openid"`
		} `json:"data"`
		Next string `json:"next_openid"`
	}
	query := url.Values{}
	if next != "" {
		query.Set("next_openid", next)
	}
	if err := c.call(ctx, get(pathFollowers, query), &got); err != nil {
		return Followers{}, err
	}
	page := Followers{Total: got.Total, OpenIDs: got.Data.OpenIDs, Next: got.Next}
	if len(page.OpenIDs) == 0 || page.Next == next {
		page.Next = "" // the page after the last is empty
	}
	return page, nil
}
