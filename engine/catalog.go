package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/reward/ledger"
)

// campaignRow is a campaign's row: its position in the journal and its state as a whole.
type campaignRow struct {
	No        int64 `gorm:"primaryKey;autoIncrement"`
	ID        string
	Status    campaign.Status
	Revision  int
	Seq       int64
	DueAt     *int64
	State     step.Campaign `gorm:"serializer:json"`
	CreatedAt int64         `gorm:"autoCreateTime:false"`
	UpdatedAt int64         `gorm:"autoUpdateTime:false"`
}

func (campaignRow) TableName() string { return "campaigns" }

// revisionRow is one definition as it was applied. It never changes.
type revisionRow struct {
	Campaign   int64 `gorm:"primaryKey;autoIncrement:false"`
	Revision   int   `gorm:"primaryKey;autoIncrement:false"`
	Source     string
	Definition string
	CreatedBy  string
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
}

func (revisionRow) TableName() string { return "revisions" }

// assetRow names an uploaded file by its content; the bytes are in the data folder.
type assetRow struct {
	Campaign  int64  `gorm:"primaryKey;autoIncrement:false"`
	Name      string `gorm:"primaryKey"`
	SHA256    string `gorm:"column:sha256"`
	Size      int64
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

func (assetRow) TableName() string { return "assets" }

// known is what the catalog remembers of a campaign.
type known struct {
	no         int64
	id         string
	revision   int
	definition *campaign.Definition
	checked    time.Time
}

// catalog keeps definitions read and compiled. Revisions never change, so they stay; which one is in force is asked
// again after a moment, since another process may have changed it.
type catalog struct {
	mu        sync.Mutex
	byID      map[string]known
	revisions map[revisionKey]*campaign.Definition
}

type revisionKey struct {
	campaign int64
	revision int
}

const (
	catalogFresh = 500 * time.Millisecond
	catalogSize  = 4096 // campaigns and revisions kept; past that the maps begin anew
)

// campaign finds a campaign and the definition in force by its id.
func (e *Engine) campaign(ctx context.Context, id string) (known, error) {
	c := &e.catalog
	c.mu.Lock()
	k, ok := c.byID[id]
	c.mu.Unlock()
	if ok && time.Since(k.checked) < catalogFresh {
		return k, nil
	}
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return known{}, err
	}
	return e.remember(ctx, row)
}

// remember keeps what a campaign's row says.
func (e *Engine) remember(ctx context.Context, row campaignRow) (known, error) {
	d, err := e.definition(ctx, row.No, row.Revision)
	if err != nil {
		return known{}, err
	}
	k := known{no: row.No, id: row.ID, revision: row.Revision, definition: d, checked: time.Now()}
	c := &e.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= catalogSize {
		c.byID = map[string]known{}
	}
	c.byID[row.ID] = k
	return k, nil
}

// campaignRow reads a campaign by its id.
func (e *Engine) campaignRow(ctx context.Context, id string) (campaignRow, error) {
	var row campaignRow
	err := e.DB.WithContext(ctx).Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, fault.New(fault.NotFound, "there is no campaign %q", cutID(id))
	}
	return row, err
}

// definition reads one revision of a campaign.
func (e *Engine) definition(ctx context.Context, no int64, revision int) (*campaign.Definition, error) {
	key := revisionKey{no, revision}
	c := &e.catalog
	c.mu.Lock()
	d := c.revisions[key]
	c.mu.Unlock()
	if d != nil {
		return d, nil
	}
	var row revisionRow
	err := e.DB.WithContext(ctx).Where("campaign = ? AND revision = ?", no, revision).Take(&row).Error
	if err != nil {
		return nil, fmt.Errorf("revision %d of campaign %d: %w", revision, no, err)
	}
	d, _, problems := campaign.Parse([]byte(row.Definition), "revision.json")
	if len(problems) > 0 {
		return nil, fmt.Errorf("revision %d of campaign %d: %w", revision, no, campaign.ProblemsError(problems))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revisions == nil || len(c.revisions) >= catalogSize {
		c.revisions = map[revisionKey]*campaign.Definition{}
	}
	c.revisions[key] = d
	return d, nil
}

// CreateCampaign stores a definition as a new draft.
func (e *Engine) CreateCampaign(ctx context.Context, source []byte, filename, by string) (CampaignView, error) {
	d, problems := Preflight(source, filename)
	if len(problems) > 0 {
		return CampaignView{}, campaign.ProblemsError(problems)
	}
	now := e.now()
	row := campaignRow{ID: d.ID, Status: campaign.Draft, Revision: 1, CreatedAt: now, UpdatedAt: now}
	row.State = step.Campaign{Status: campaign.Draft, Revision: 1}
	err := database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		row.No = 0
		row.State.Book = ledger.Book{}
		if err := tx.Create(&row).Error; err != nil {
			return err
		}
		row.State.Book.Campaign = row.No
		if err := tx.Model(&row).Select("state").Updates(&row).Error; err != nil {
			return err
		}
		return tx.Create(&revisionRow{Campaign: row.No, Revision: 1, Source: string(source), Definition: string(d.Canonical()), CreatedBy: by, CreatedAt: now}).Error
	})
	if database.IsDuplicate(err) {
		return CampaignView{}, fault.New(fault.Conflict, "campaign %q exists already; send a new revision with PUT /v1/campaigns/%s, or choose another id", d.ID, d.ID)
	}
	if err != nil {
		return CampaignView{}, err
	}
	return e.Campaign(ctx, d.ID)
}

// ReviseCampaign stores a definition as a new revision and puts it in force. On a campaign that has started only what
// cannot hurt those already in it is taken. A definition equal to the one in force changes nothing.
func (e *Engine) ReviseCampaign(ctx context.Context, id string, source []byte, filename, by string) (CampaignView, error) {
	d, problems := Preflight(source, filename)
	if len(problems) > 0 {
		return CampaignView{}, campaign.ProblemsError(problems)
	}
	if d.ID != id {
		return CampaignView{}, fault.Fields("the file is for another campaign", fault.Field{
			Field: "campaign", Message: fmt.Sprintf("the file says %q; write %q, or send it to that campaign", d.ID, id),
		})
	}
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return CampaignView{}, err
	}
	inForce, err := e.definition(ctx, row.No, row.Revision)
	if err != nil {
		return CampaignView{}, err
	}
	if inForce.Equal(d) {
		return e.Campaign(ctx, id)
	}
	if row.Status != campaign.Draft {
		if err := e.missing(ctx, row.No, d, "the new revision"); err != nil {
			return CampaignView{}, err
		}
		if err := e.legibleRevision(ctx, row, d); err != nil {
			return CampaignView{}, err
		}
		broken, err := e.brokenPromises(ctx, row, d)
		if err != nil {
			return CampaignView{}, err
		}
		if len(broken) > 0 { // the rules would say the same; asking first saves a revision's number
			return CampaignView{}, step.BreaksPromises(broken)
		}
	}
	revision, err := e.storeRevision(ctx, row.No, source, d, by)
	if err != nil {
		return CampaignView{}, err
	}
	if err := e.order(ctx, row.No, event.Revised, step.Order{By: by, Revision: revision}); err != nil {
		return CampaignView{}, err
	}
	e.posterSources.forget(row.No)
	return e.Campaign(ctx, id)
}

// legibleRevision says whether phones would read the posters of a definition that is to come into force, with the files
// that are there.
func (e *Engine) legibleRevision(ctx context.Context, row campaignRow, d *campaign.Definition) error {
	source, err := e.readPosterSource(ctx, known{no: row.No, id: row.ID, definition: d})
	if err != nil {
		return err
	}
	return e.legible(source)
}

// legibleFile says whether phones would read the posters of a campaign that has started when one of its files is another.
func (e *Engine) legibleFile(ctx context.Context, row campaignRow, file assetRow) error {
	if row.Status == campaign.Draft {
		return nil
	}
	d, err := e.definition(ctx, row.No, row.Revision)
	if err != nil || !slices.Contains(d.Files(), file.Name) {
		return err
	}
	source, err := e.readPosterSource(ctx, known{no: row.No, id: row.ID, definition: d})
	if err != nil {
		return err
	}
	source.files[file.Name] = file.SHA256
	return e.legible(source)
}

// storeRevision writes a definition under the campaign's next number.
func (e *Engine) storeRevision(ctx context.Context, no int64, source []byte, d *campaign.Definition, by string) (int, error) {
	for {
		var last int
		if err := e.DB.WithContext(ctx).Model(&revisionRow{}).Where("campaign = ?", no).Select("COALESCE(MAX(revision), 0)").Scan(&last).Error; err != nil {
			return 0, err
		}
		row := revisionRow{Campaign: no, Revision: last + 1, Source: string(source), Definition: string(d.Canonical()), CreatedBy: by, CreatedAt: e.now()}
		err := e.DB.WithContext(ctx).Create(&row).Error
		if database.IsDuplicate(err) {
			continue // another one was stored meanwhile
		}
		return row.Revision, err
	}
}

// PlanCampaign says what applying a definition would change, and changes nothing.
func (e *Engine) PlanCampaign(ctx context.Context, source []byte, filename string) (Plan, error) {
	d, problems := Preflight(source, filename)
	if len(problems) > 0 {
		return Plan{}, campaign.ProblemsError(problems)
	}
	row, err := e.campaignRow(ctx, d.ID)
	if fault.KindOf(err) == fault.NotFound {
		return Plan{ID: d.ID, Revision: 1, Changes: []campaign.Change{}, Missing: d.Files()}, nil
	}
	if err != nil {
		return Plan{}, err
	}
	inForce, err := e.definition(ctx, row.No, row.Revision)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{ID: d.ID, Exists: true, Status: row.Status, Revision: row.Revision, Changes: []campaign.Change{}}
	plan.Changes = append(plan.Changes, campaign.Changes(inForce, d)...)
	if len(plan.Changes) > 0 {
		plan.Revision++
	}
	if plan.Missing, err = e.missingFiles(ctx, row.No, d); err != nil {
		return Plan{}, err
	}
	if row.Status == campaign.Live || row.Status == campaign.Paused {
		if plan.Refused, err = e.brokenPromises(ctx, row, d); err != nil {
			return Plan{}, err
		}
	}
	return plan, nil
}

// brokenPromises are the fields by which a definition would hurt those already in a campaign that has started.
func (e *Engine) brokenPromises(ctx context.Context, row campaignRow, d *campaign.Definition) ([]fault.Field, error) {
	w, err := e.loadWhole(ctx, row)
	if err != nil {
		return nil, err
	}
	return campaign.BrokenPromises(w.Definition, d, w.Running()), nil
}

// Turn moves a campaign through its life: launch, pause, resume or end.
func (e *Engine) Turn(ctx context.Context, id, verb, by string) (CampaignView, error) {
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return CampaignView{}, err
	}
	if _, err := row.Status.Next(verb); err != nil {
		return CampaignView{}, err
	}
	types := map[string]string{"launch": event.Launched, "pause": event.Paused, "resume": event.Resumed, "end": event.Ended}
	if verb == "launch" {
		if err := e.launchable(ctx, row); err != nil {
			return CampaignView{}, err
		}
	}
	if err := e.order(ctx, row.No, types[verb], step.Order{By: by}); err != nil {
		return CampaignView{}, err
	}
	e.running.forget()
	return e.Campaign(ctx, id)
}

// launchable says what stands in the way of a launch: missing files, a channel that is not there, an end that is past.
func (e *Engine) launchable(ctx context.Context, row campaignRow) error {
	d, err := e.definition(ctx, row.No, row.Revision)
	if err != nil {
		return err
	}
	if _, err := e.channel(d); err != nil {
		return err
	}
	if !e.Now().Before(d.Schedule.Ends) {
		return fault.New(fault.Conflict, "the schedule ended at %s; give the campaign a later end before launching it", d.Schedule.Ends.Format(time.RFC3339))
	}
	if err := e.missing(ctx, row.No, d, "the launch"); err != nil {
		return err
	}
	return e.printable(ctx, known{no: row.No, id: row.ID, revision: row.Revision, definition: d})
}

// missing refuses when files that a definition names are not there.
func (e *Engine) missing(ctx context.Context, no int64, d *campaign.Definition, what string) error {
	files, err := e.missingFiles(ctx, no, d)
	if err != nil || len(files) == 0 {
		return err
	}
	conflict := fault.New(fault.Conflict, "%s needs files that are not uploaded yet", what)
	for _, name := range files {
		conflict.Fields = append(conflict.Fields, fault.Field{Field: name, Message: fmt.Sprintf("upload it with PUT /v1/campaigns/%s/assets/%s", d.ID, name)})
	}
	return conflict
}

func (e *Engine) missingFiles(ctx context.Context, no int64, d *campaign.Definition) ([]string, error) {
	var there []string
	if err := e.DB.WithContext(ctx).Model(&assetRow{}).Where("campaign = ?", no).Pluck("name", &there).Error; err != nil {
		return nil, err
	}
	files := slices.DeleteFunc(d.Files(), func(name string) bool { return slices.Contains(there, name) })
	return files, nil
}

// Campaign is one campaign as it stands.
func (e *Engine) Campaign(ctx context.Context, id string) (CampaignView, error) {
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return CampaignView{}, err
	}
	k, err := e.remember(ctx, row)
	if err != nil {
		return CampaignView{}, err
	}
	return e.campaignView(ctx, row, k.definition)
}

func (e *Engine) campaignView(ctx context.Context, row campaignRow, d *campaign.Definition) (CampaignView, error) {
	missing, err := e.missingFiles(ctx, row.No, d)
	return CampaignView{
		ID: row.ID, Name: d.Name, Channel: d.Channel, Status: row.Status, Revision: row.Revision,
		Starts: d.Schedule.Starts, Ends: d.Schedule.Ends, Participants: row.State.Participants, Missing: missing,
		CreatedAt: moment(row.CreatedAt), UpdatedAt: moment(row.UpdatedAt),
	}, err
}

// Campaigns lists campaigns by id.
func (e *Engine) Campaigns(ctx context.Context, page Page) (List[CampaignView], error) {
	list := List[CampaignView]{Items: []CampaignView{}}
	after, err := page.after()
	if err != nil {
		return list, err
	}
	if after != "" && !campaign.ValidID(after) {
		return list, badCursor()
	}
	var rows []campaignRow
	if err := e.DB.WithContext(ctx).Where("id > ?", after).Order("id").Limit(page.limit() + 1).Find(&rows).Error; err != nil {
		return list, err
	}
	rows, list.Next = cutPage(rows, page, func(r campaignRow) string { return r.ID })
	for _, row := range rows {
		d, err := e.definition(ctx, row.No, row.Revision)
		if err != nil {
			return list, err
		}
		view, err := e.campaignView(ctx, row, d)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, view)
	}
	return list, nil
}

var assetName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$`)

// PutAsset stores a file that a campaign's poster uses.
func (e *Engine) PutAsset(ctx context.Context, id, name string, body []byte) (AssetView, error) {
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return AssetView{}, err
	}
	if !assetName.MatchString(name) {
		return AssetView{}, fault.New(fault.Invalid, "%q is no name for a file; use up to 100 of A-Z, a-z, 0-9, dot, dash and underscore, and no dot in front", cutID(name))
	}
	if err := e.checkAsset(name, body); err != nil {
		return AssetView{}, err
	}
	sum := sha256.Sum256(body)
	asset := assetRow{Campaign: row.No, Name: name, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body)), UpdatedAt: e.now()}
	if err := e.writeAsset(asset.SHA256, body); err != nil {
		return AssetView{}, fmt.Errorf("store file %s: %w", name, err)
	}
	if err := e.legibleFile(ctx, row, asset); err != nil {
		return AssetView{}, err
	}
	err = database.Upsert(e.DB.WithContext(ctx), []assetRow{asset}, []string{"campaign", "name"}, []string{"sha256", "size", "updated_at"})
	e.posterSources.forget(row.No)
	return AssetView{Campaign: id, Name: name, Size: asset.Size, SHA256: asset.SHA256}, err
}

// writeAsset keeps bytes under their hash; they are whole on disk before they can be found.
func (e *Engine) writeAsset(sum string, body []byte) error {
	path := e.assetPath(sum)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "upload-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(body)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

func (e *Engine) assetPath(sum string) string { return filepath.Join(e.DataDir, "assets", sum) }

// order appends one of the engine's own events and applies it; a refusal comes back as the fault it was.
func (e *Engine) order(ctx context.Context, no int64, eventType string, o step.Order) error {
	d, err := orderDraft(no, eventType, o, e.now())
	if err != nil {
		return err
	}
	_, err = e.carryOut(ctx, d)
	return err
}

// orderDraft is a draft of one of the engine's own events.
func orderDraft(no int64, eventType string, o step.Order, now int64) (*draft, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	data := string(text)
	return &draft{Event: event.Event{
		Campaign: no, System: true, ID: NewEventID(eventType), Type: eventType, Time: now, ReceivedAt: now, Data: &data,
	}}, nil
}

// carryOut puts a draft into the journal, applies it and gives it back applied.
func (e *Engine) carryOut(ctx context.Context, d *draft) (event.Event, error) {
	done, err := e.putThrough(ctx, d, drainTimeout)
	if err != nil || done.Outcome != event.Refused && done.Outcome != event.Failed {
		return done, err
	}
	detail, err := done.Details()
	if err != nil {
		return done, err
	}
	if done.Outcome == event.Failed {
		return done, fmt.Errorf("event %s failed: %s", done.ID, detail.Reason)
	}
	refused := fault.New(fault.Conflict, "%s", detail.Reason)
	for _, f := range detail.Fields {
		field, message, _ := strings.Cut(f, ": ")
		refused.Fields = append(refused.Fields, fault.Field{Field: field, Message: message})
	}
	return done, refused
}

// moment is a time from the database.
func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
