package engine

import (
	"context"

	"kfactor/campaign"
)

// Definition is the definition in force of a campaign. Nobody may change it.
func (e *Engine) Definition(ctx context.Context, id string) (*campaign.Definition, error) {
	c, err := e.campaign(ctx, id)
	return c.definition, err
}
