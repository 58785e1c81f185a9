package databasetest_test

import (
	"testing"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/database/databasetest"
	"kfactor/migrations"
)

func TestEach(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		t.Run("TheSchemaIsThereAndNothingIsPending", func(t *testing.T) {
			pending, err := database.Pending(t.Context(), db, migrations.FS)
			if err != nil || pending != 0 {
				t.Fatalf("pending %d, %v", pending, err)
			}
			var campaigns int64
			if err := db.Table("campaigns").Count(&campaigns).Error; err != nil || campaigns != 0 {
				t.Fatalf("%d campaigns, %v", campaigns, err)
			}
		})

		t.Run("TheWholeSchemaGoesDownAndUpAgain", func(t *testing.T) {
			list, err := database.MigrationStatus(t.Context(), db, migrations.FS)
			if err != nil {
				t.Fatal(err)
			}
			for range list {
				if err := database.MigrateDown(t.Context(), db, migrations.FS); err != nil {
					t.Fatal(err)
				}
			}
			if err := database.Migrate(t.Context(), db, migrations.FS); err != nil {
				t.Fatal(err)
			}
		})
	})
}
