package engine

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/internal/database"
	"kfactor/reward"
)

// load brings into memory what the events of a batch may touch, in few queries: the people who act, the owners of the
// codes they name, the people those point to, the actors' credits, the rewards. What is in memory already stays as it
// is, for it may be newer than what is stored.
func (e *Engine) load(ctx context.Context, b *batch, missing []int64) error {
	l := loader{Engine: e, db: e.DB.WithContext(ctx), world: b.world, no: b.row.No}
	people := slices.Clone(missing)
	var codes []string
	var grants []int64
	refunds := map[string][]int64{}
	actors := map[int64]bool{}
	for i := range b.events {
		ev := &b.events[i]
		if ev.Person != 0 {
			people = append(people, ev.Person)
			actors[ev.Person] = true
		}
		if ev.Code != "" {
			codes = append(codes, strings.ToUpper(ev.Code))
		}
		if !ev.System {
			for t := range tasksTakingBack(b.world.Definition, ev.Type) {
				refunds[t] = append(refunds[t], ev.Person)
			}
			continue
		}
		var o step.Order
		if ev.Data != nil {
			_ = json.Unmarshal([]byte(*ev.Data), &o) // the rules will say what is wrong with it
		}
		if o.InvitedBy != "" {
			codes = append(codes, strings.ToUpper(o.InvitedBy))
		}
		if o.Grant != 0 {
			grants = append(grants, o.Grant)
		}
		if ev.Type == event.Revised {
			d, err := e.definition(ctx, b.row.No, o.Revision)
			if err != nil {
				return err
			}
			b.world.Revisions[o.Revision] = d
		}
	}
	if err := l.owners(codes); err != nil {
		return err
	}
	if err := l.credits(slices.Collect(maps.Keys(actors)), refunds); err != nil {
		return err
	}
	if err := l.shelves(); err != nil {
		return err
	}
	if err := l.grants(grants); err != nil {
		return err
	}
	if step.Wide(b.events[0].Type) {
		if err := l.queues(); err != nil {
			return err
		}
	}
	return l.people(people)
}

// tasksTakingBack are the actors' own tasks whose credits an event type takes back.
func tasksTakingBack(d *campaign.Definition, eventType string) map[string]bool {
	var names map[string]bool
	for _, t := range d.Tasks {
		if t.RevokeOn == eventType && t.Credit == campaign.Actor {
			if names == nil {
				names = map[string]bool{}
			}
			names[t.Name] = true
		}
	}
	return names
}

// loader fills a world from the tables.
type loader struct {
	*Engine
	db    *gorm.DB
	world *step.World
	no    int64
	named []int64 // people whom the codes, credits and grants of this batch name
}

// inChunk bounds the values of one IN list.
const inChunk = 2000

func (l *loader) owners(codes []string) error {
	slices.Sort(codes)
	unknown := slices.DeleteFunc(slices.Compact(codes), func(code string) bool {
		owner, known := l.world.Owners[code]
		l.named = append(l.named, owner)
		return known
	})
	for part := range slices.Chunk(unknown, inChunk) {
		var rows []codeRow
		// By the codes alone: told the campaign too, SQLite would go through all codes of the campaign instead.
		if err := l.db.Where("code IN ?", part).Find(&rows).Error; err != nil {
			return err
		}
		for _, r := range rows {
			if r.Campaign == l.no {
				l.world.Owners[r.Code] = r.Person
				l.named = append(l.named, r.Person)
			}
		}
	}
	return nil
}

// credits loads the inviter's credits of actors, and the own credits of those whose event takes one back.
func (l *loader) credits(actors []int64, refunds map[string][]int64) error {
	read := func(where string, args ...any) error {
		return database.Each(l.db, func(rows *sql.Rows) error {
			c := campaign.Credit{Campaign: l.no}
			err := rows.Scan(&c.Person, &c.Task, &c.N, &c.Owner, &c.State, &c.OnAt, &c.OffAt, &c.DueAt, &c.Ref, &c.Event)
			key := step.CreditKey{Person: c.Person, Task: c.Task, N: c.N}
			if err == nil && l.world.Credits[key] == nil {
				l.world.Credits[key] = &c
				l.named = append(l.named, c.Person, c.Owner)
			}
			return err
		}, "SELECT person, task, n, owner, state, on_at, off_at, due_at, ref, event FROM credits WHERE campaign = ? AND "+where,
			append([]any{l.no}, args...)...)
	}
	actors = slices.DeleteFunc(actors, func(person int64) bool { return l.world.CreditsOf[person] })
	slices.Sort(actors)
	for part := range slices.Chunk(actors, inChunk) {
		if err := read("person IN ? AND n = 0", part); err != nil {
			return err
		}
		for _, person := range part {
			l.world.CreditsOf[person] = true
		}
	}
	for task, people := range refunds {
		slices.Sort(people)
		for part := range slices.Chunk(slices.Compact(people), inChunk) {
			if err := read("person IN ? AND task = ? AND n > 0", part, task); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loader) shelves() error {
	if len(l.world.Shelves) > 0 {
		return nil
	}
	var rows []reward.Shelf
	if err := l.db.Where("campaign = ?", l.no).Find(&rows).Error; err != nil {
		return err
	}
	for i := range rows {
		l.world.Shelves[rows[i].Reward] = &rows[i]
	}
	return nil
}

func (l *loader) grants(numbers []int64) error {
	if len(numbers) == 0 {
		return nil
	}
	return l.addGrants(l.db.Where("campaign = ? AND no IN ?", l.no, numbers), nil)
}

// inState asks for the first grants of a reward in a state. MariaDB has to be told the index: for the lowest numbers it
// would go by the primary key, past all earlier grants.
func (l *loader) inState(state reward.State, name string) *gorm.DB {
	db := l.db
	if database.Dialect(db) == database.MySQL {
		db = db.Table("grants FORCE INDEX (grants_by_campaign_state_reward_no)")
	}
	return db.Where("campaign = ? AND state = ? AND reward = ?", l.no, state, name).Limit(step.MaxQueue)
}

func (l *loader) addGrants(query *gorm.DB, queue *[]int64) error {
	var rows []reward.Grant
	if err := query.Order("no").Find(&rows).Error; err != nil {
		return err
	}
	for i := range rows {
		if l.world.Grants[rows[i].No] == nil {
			l.world.Grants[rows[i].No] = &rows[i]
			l.named = append(l.named, rows[i].Person)
		}
		if queue != nil {
			*queue = append(*queue, rows[i].No)
		}
	}
	return nil
}

// queues loads what a wide event may go through: holds by due time, waiting grants and coupons by number, and
// participants whose tiers are looked at again.
func (l *loader) queues() error {
	q := &l.world.Queues
	var held []campaign.Credit
	err := l.db.Where("campaign = ? AND state = ?", l.no, campaign.CreditHeld).Order("due_at, person, task, n").Limit(step.MaxQueue + 1).Find(&held).Error
	if err != nil {
		return err
	}
	for i := range held {
		key := step.CreditKey{Person: held[i].Person, Task: held[i].Task, N: held[i].N}
		l.world.Credits[key] = &held[i]
		l.named = append(l.named, held[i].Person, held[i].Owner)
		q.Held = append(q.Held, key)
	}
	for _, r := range slices.Sorted(maps.Keys(l.world.Shelves)) {
		if l.world.Shelves[r].Waitlisted > 0 {
			if err := l.addGrants(l.inState(reward.Waitlisted, r), &q.Waitlisted); err != nil {
				return err
			}
		}
		if d := l.world.Definition.Reward(r); d != nil && d.Kind == campaign.Coupon {
			if err := l.addGrants(l.inState(reward.Granted, r), &q.NoCoupon); err != nil {
				return err
			}
		}
	}
	slices.Sort(q.Waitlisted)
	slices.Sort(q.NoCoupon)
	if from := l.world.Campaign.Recheck; from != 0 {
		return l.db.Model(&campaign.Person{}).Where("campaign = ? AND person >= ? AND joined_at > 0", l.no, from).
			Order("person").Limit(step.MaxQueue).Pluck("person", &q.Recheck).Error
	}
	return nil
}

// people loads persons and, in a second go, whom they point to. It looks at those of this batch and at nobody else in
// memory, or a batch would cost more the more is at hand.
func (l *loader) people(numbers []int64) error {
	numbers = slices.Concat(numbers, l.named, l.world.Queues.Recheck)
	if err := l.addPeople(slices.Clone(numbers)); err != nil {
		return err
	}
	var pointed []int64
	for _, n := range numbers {
		p := l.world.People[n]
		if p == nil {
			continue
		}
		pointed = append(pointed, p.Inviter)
		for _, t := range p.Facts.Touches {
			pointed = append(pointed, t.Owner)
		}
	}
	return l.addPeople(pointed)
}

func (l *loader) addPeople(numbers []int64) error {
	slices.Sort(numbers)
	numbers = slices.DeleteFunc(slices.Compact(numbers), func(n int64) bool {
		_, there := l.world.People[n]
		return n == 0 || there
	})
	for part := range slices.Chunk(numbers, inChunk) {
		for _, n := range part {
			l.world.People[n] = nil // looked for; somebody new unless found below
		}
		err := database.Each(l.db, func(rows *sql.Rows) error {
			p := campaign.Person{Campaign: l.no}
			var facts []byte
			err := rows.Scan(&p.Person, &p.Code, &p.Inviter, &p.Depth, &p.Score, &p.ScoredSeq, &p.JoinedAt, &facts)
			if err != nil {
				return err
			}
			l.world.People[p.Person] = &p
			return p.Facts.ReadJSON(facts)
		}, "SELECT person, code, inviter, depth, score, scored_seq, joined_at, facts FROM people"+
			" WHERE campaign = ? AND person IN ?", l.no, part)
		if err != nil {
			return err
		}
	}
	return nil
}

// ancestors gives a person and everybody above them, up to whoever came by themselves.
func (e *Engine) ancestors(ctx context.Context, no, person int64) ([]int64, error) {
	var chain []int64
	for person != 0 && !slices.Contains(chain, person) {
		chain = append(chain, person)
		var above []int64
		err := e.DB.WithContext(ctx).Model(&campaign.Person{}).Where("campaign = ? AND person = ?", no, person).Pluck("inviter", &above).Error
		if err != nil {
			return nil, err
		}
		person = 0
		if len(above) == 1 {
			person = above[0]
		}
	}
	return chain, nil
}

// loadWhole loads what concerns a campaign as a whole, and nobody.
func (e *Engine) loadWhole(ctx context.Context, row campaignRow) (*step.World, error) {
	d, err := e.definition(ctx, row.No, row.Revision)
	if err != nil {
		return nil, err
	}
	l := loader{Engine: e, db: e.DB.WithContext(ctx), world: newWorld(&row, d), no: row.No}
	return l.world, l.shelves()
}
