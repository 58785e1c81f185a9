package twin

import (
	"unicode/utf8"
)

// userAnswer is what user/info tells. Name and picture have been left out since 27 December 2021:
// https://developers.weixin.qq.com/community/develop/doc/00028edbe3c58081e7cc834705b801.
type userAnswer struct {
	Subscribe int    `json:"subscribe"`
	OpenID    string `json:"openid"`
	*following
	UnionID string `json:"unionid,omitempty"`
}

// following is what is told of followers only.
type following struct {
	Nickname       string  `json:"nickname"`
	Sex            int     `json:"sex"`
	Language       string  `json:"language"`
	City           string  `json:"city"`
	Province       string  `json:"province"`
	Country        string  `json:"country"`
	HeadImgURL     string  `json:"headimgurl"`
	SubscribeTime  int64   `json:"subscribe_time"`
	Remark         string  `json:"remark"`
	GroupID        int     `json:"groupid"`
	Tags           []int64 `json:"tagid_list"`
	SubscribeScene string  `json:"subscribe_scene"`
	QRScene        int64   `json:"qr_scene"`
	QRSceneStr     string  `json:"qr_scene_str"`
}

func (f *Fan) info() userAnswer {
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := userAnswer{OpenID: f.OpenID, UnionID: f.UnionID}
	if f.follows {
		answer.Subscribe = 1
		answer.following = &following{
			Language: "zh_CN", SubscribeTime: f.since.Unix(), Remark: f.remark, Tags: []int64{},
			SubscribeScene: f.cameBy, QRScene: f.number, QRSceneStr: f.scene,
		}
		if f.number != 0 {
			answer.QRSceneStr = ""
		}
	}
	return answer
}

// fan finds a fan for a call, by openid.
func (c *call) fan(openid string) (*Fan, error) {
	if f := c.fans.find(openid); f != nil {
		return f, nil
	}
	return nil, refuse(40003)
}

func (c *call) userInfo() (any, error) {
	if c.query("openid") == "" {
		return nil, refuse(41009)
	}
	f, err := c.fan(c.query("openid"))
	if err != nil {
		return nil, err
	}
	return f.info(), nil
}

func (c *call) userInfos() (any, error) {
	var asked struct {
		Users []struct {
			OpenID string `json:"openid"`
		} `json:"user_list"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	if len(asked.Users) == 0 || len(asked.Users) > 100 {
		return nil, refuse(40032)
	}
	told := make([]userAnswer, 0, len(asked.Users))
	for _, u := range asked.Users {
		f, err := c.fan(u.OpenID)
		if err != nil {
			return nil, err
		}
		told = append(told, f.info())
	}
	return map[string]any{"user_info_list": told}, nil
}

const pageOfFollowers = 10_000

type openids struct {
	OpenIDs []string `json:"openid"`
}

type followersAnswer struct {
	Total int      `json:"total"`
	Count int      `json:"count"`
	Data  *openids `json:"data,omitempty"`
	Next  string   `json:"next_openid"`
}

// followers lists who follows in the order in which the twin came to know them, from behind next_openid on.
func (c *call) followers() (any, error) {
	next := c.query("next_openid")
	from := 0
	all := c.fans.all()
	if next != "" {
		f, err := c.fan(next)
		if err != nil {
			return nil, err
		}
		from = f.no
	}
	answer := followersAnswer{}
	page := openids{}
	for _, f := range all {
		if !f.Following() {
			continue
		}
		answer.Total++
		if f.no > from && len(page.OpenIDs) < pageOfFollowers {
			page.OpenIDs = append(page.OpenIDs, f.OpenID)
		}
	}
	if answer.Count = len(page.OpenIDs); answer.Count > 0 {
		answer.Data, answer.Next = &page, page.OpenIDs[answer.Count-1]
	}
	return answer, nil
}

const maxRemark = 30

func (c *call) updateRemark() (any, error) {
	var asked struct {
		OpenID string `json:"openid"`
		Remark string `json:"remark"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	f, err := c.fan(asked.OpenID)
	if err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(asked.Remark) > maxRemark {
		return nil, refuse(40035)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remark = asked.Remark
	return fine, nil
}
