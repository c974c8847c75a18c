INSERT INTO capacity (id, limit_id, labels, json, seen_at)
VALUES (1, 'disk', '{"device":"/dev/sda1","instance":"db1:9100"}', '{"ceiling":95000000000.0}', 1763690400000);

INSERT INTO capacity_hour (capacity, hour, mean, highest, last, samples)
VALUES (1, 489913, 6.5e10, 6.6e10, 6.6e10, 60);

INSERT INTO capacity_day (capacity, day, peak, mean, lowest, hours)
VALUES (1, 20412, 6.6e10, 6.5e10, 6.4e10, 24);
