package reward_test

import (
	"testing"

	"kfactor/internal/fault"
	"kfactor/reward"
)

func TestNext(t *testing.T) {
	t.Parallel()
	allowed := map[reward.State]map[reward.Verb]reward.State{
		reward.Waitlisted: {reward.Refuse: reward.Rejected, reward.Revoke: reward.Revoked},
		reward.Review:     {reward.Approve: reward.Granted, reward.Refuse: reward.Rejected, reward.Revoke: reward.Revoked},
		reward.Granted:    {reward.Deliver: reward.Delivered, reward.Revoke: reward.Revoked},
		reward.Delivered:  {reward.Revoke: reward.Revoked},
		reward.Rejected:   {},
		reward.Revoked:    {},
	}
	if len(allowed) != len(reward.States) {
		t.Fatalf("%d states are spoken of here, there are %d", len(allowed), len(reward.States))
	}
	for _, s := range reward.States {
		for _, v := range []reward.Verb{reward.Approve, reward.Refuse, reward.Deliver, reward.Revoke, "burn"} {
			next, err := s.Next(v)
			want, ok := allowed[s][v]
			switch {
			case ok && (err != nil || next != want):
				t.Errorf("%s and %s lead to %s (%v), want %s", s, v, next, err, want)
			case !ok && (fault.KindOf(err) != fault.Conflict || next != s):
				t.Errorf("%s and %s lead to %s (%v), want a conflict", s, v, next, err)
			}
		}
	}
}

func TestReserves(t *testing.T) {
	t.Parallel()
	// What leaves the waiting list reserves, what ends without delivery gives back.
	for s, want := range map[reward.State]bool{
		reward.Waitlisted: false, reward.Review: true, reward.Granted: true, reward.Delivered: true, reward.Rejected: false, reward.Revoked: false,
	} {
		if s.Reserves() != want {
			t.Errorf("%s reserves: %v", s, !want)
		}
	}
}
