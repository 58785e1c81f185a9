package demo

// The sample campaign as a person would tell it; a test holds this and the file together.
const (
	bronzeFriends, silverFriends, goldFriends = 3, 6, 10
	goldOrder                                 = 9900 // minor units
	couponStock, cashStock, mugStock          = 5, 20, 2
)

// Stage is one line of a funnel.
type Stage struct {
	Stage  string  `json:"stage"`
	Events int64   `json:"events"`
	Users  int64   `json:"users"`
	Rate   float64 `json:"rate"`
}

// shelf is how many of a reward were given and how many people wait for one.
type shelf struct{ granted, waitlisted int64 }

// standing is where one fan must stand at the end.
type standing struct {
	tasks map[string]int
	tiers map[string]bool
}

// expectation is what must come of a story.
type expectation struct {
	participants int64
	credited     int // friends who count, at the end
	came         int // friends who counted at some time
	followers    int64
	fans         map[int]standing
	funnel       map[string]Stage
	rewards      map[string]shelf
}

// expect counts what must come of the story. It is written for this one campaign and shares nothing with the
// engine: two counts that agree are worth more than one.
func (s Story) expect() expectation {
	x := expectation{fans: map[int]standing{}, funnel: map[string]Stage{}, rewards: map[string]shelf{}}
	came := map[int]int{}   // friends who counted at some time
	stayed := map[int]int{} // friends who count at the end
	for _, f := range s.fans {
		if !f.counts() {
			continue
		}
		came[f.inviter]++
		x.came++
		if !f.away() {
			stayed[f.inviter]++
			x.credited++
		}
	}
	stages := map[string][]int64{"scan": {0, 0}, "subscribe": {0, 0}, "bind": {0, 0}, "purchase": {0, 0}}
	did := func(stage string, times int64) {
		if times > 0 {
			stages[stage][0] += times
			stages[stage][1]++
		}
	}
	var bronze, silver, gold, welcomed int64
	for _, f := range s.fans {
		x.followers += many(f.before == follower && f.looks || f.joins() && !f.away())
		if f.looks {
			continue // the platform tells nobody who looked at the account's page
		}
		x.participants++
		did("scan", many(f.inviter != nobody)+many(f.second != nobody)+many(f.ownCode))
		did("subscribe", many(f.before != follower)+many(f.returns))
		did("bind", many(f.member()))
		did("purchase", many(f.order > 0))
		is := standing{
			tasks: map[string]int{
				"invite": stayed[f.number], "bind": int(many(f.member())), "order": int(many(f.order >= goldOrder && !f.refunds)),
			},
			// Friends come before any of them leaves; members and customers they become when all who leave have left.
			tiers: map[string]bool{
				"铜牌": came[f.number] >= bronzeFriends,
				"银牌": stayed[f.number] >= silverFriends && f.member(),
				"金牌": stayed[f.number] >= goldFriends && f.member() && f.order >= goldOrder,
			},
		}
		x.fans[f.number] = is
		bronze += many(is.tiers["铜牌"])
		silver += many(is.tiers["银牌"])
		gold += many(is.tiers["金牌"])
		welcomed += many(f.counts())
	}
	for stage, n := range stages {
		x.funnel[stage] = Stage{Stage: stage, Events: n[0], Users: n[1]}
	}
	x.rewards["points"] = shelf{granted: welcomed}
	x.rewards["coupon"] = shelf{min(bronze, couponStock), max(0, bronze-couponStock)}
	x.rewards["cash"] = shelf{min(silver, cashStock), max(0, silver-cashStock)}
	x.rewards["mug"] = shelf{min(gold, mugStock), max(0, gold-mugStock)}
	return x
}

// many is 1 for what happened.
func many(happened bool) int64 {
	if happened {
		return 1
	}
	return 0
}
