INSERT INTO alert VALUES ('pg', -1, '{}', 1795269600000);
INSERT INTO advice VALUES ('sign', 'a', '{}', 1795269600000);
INSERT INTO message VALUES
    ('ll_1', 1, 'default/log', '{"sign":"a"}', 3, 'body', 'text', 'delivered',
     1795269600000, 1795269600000, 1795269600000, 1795269601000, 1, 0, 0, 0, ''),
    ('ll_2', 2, 'default/log', '{"sign":"a"}', 2, 'body', 'text', 'pending',
     1795269660000, 1795269660000, NULL, NULL, 0, 0, 0, 0, '');
INSERT INTO notice VALUES
    ('n1', 'default/log', '{"sign":"a"}', 'folded', '', 'll_1', 1795269600000, '{}'),
    ('n2', 'default/log', '{"sign":"a"}', 'folded', '', 'll_2', 1795269660000, '{}'),
    ('n3', 'default/log', '{"sign":"b"}', 'pending', '', NULL, 1795269690000, '{}'),
    ('n4', 'default/log', '{"sign":"b"}', 'digest', 'why', NULL, 1795269690000, '{}');
INSERT INTO attempt VALUES ('ll_1', 1, 1795269600000, 1795269601000, 200, '');
INSERT INTO message_group VALUES
    ('default/log', '{"sign":"a"}', 1795269660000, 'll_2', '[]');
INSERT INTO endpoint VALUES
    ('default/log', 2, 1795269600000, NULL, 1795269600000, NULL, NULL);
INSERT INTO book VALUES ('default/log', 3, 0, 1, 0);
